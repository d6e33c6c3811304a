// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import "errors"

// Reference names an image: registry, repository and a tag or digest or both.
// The zero value is invalid; make one with [ParseReference].
type Reference struct {
	registry, repository, tag, digest string
}

// ParseReference parses [REGISTRY/]REPOSITORY[:TAG][@DIGEST] as docker does:
// docker.io is the default registry, "latest" the tag when there is neither tag
// nor digest. The error says what is wrong with s.
func ParseReference(s string) (Reference, error) {
	return Reference{}, errors.New("not implemented")
}

// Registry is the host and port: "localhost:5000".
func (r Reference) Registry() string { return r.registry }

// Repository is the path below the registry: "net/xdp-counter".
func (r Reference) Repository() string { return r.repository }

// Name is registry and repository: "localhost:5000/net/xdp-counter".
func (r Reference) Name() string { return r.registry + "/" + r.repository }

// Tag is "" when the reference has none.
func (r Reference) Tag() string { return r.tag }

// Digest is "sha256:<hex>", or "" when the reference has none.
func (r Reference) Digest() string { return r.digest }
