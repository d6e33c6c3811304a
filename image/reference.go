// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"encoding"
	"errors"
	"fmt"
)

// ErrReference is wrapped by every error of [ParseReference].
var ErrReference = errors.New("invalid reference")

// defaultTag names the image when a reference has neither tag nor digest.
const defaultTag = "latest"

// Reference names an image: registry, repository and a tag or digest or both.
// The zero value is invalid; make one with [ParseReference]. References are
// comparable with ==, and their text form ([Reference.String]) is what JSON
// shows.
type Reference struct {
	registry, repository, tag, digest string
}

var (
	_ fmt.Stringer             = Reference{}
	_ encoding.TextMarshaler   = Reference{}
	_ encoding.TextUnmarshaler = (*Reference)(nil)
)

// Registry is the host and port: "localhost:5000".
func (r Reference) Registry() string { return r.registry }

// Repository is the path below the registry: "net/xdp-counter".
func (r Reference) Repository() string { return r.repository }

// Name is registry and repository: "localhost:5000/net/xdp-counter".
func (r Reference) Name() string {
	if r.repository == "" {
		return r.registry
	}
	return r.registry + "/" + r.repository
}

// Tag is "" when the reference has none.
func (r Reference) Tag() string { return r.tag }

// Digest is "sha256:<hex>" or "sha512:<hex>", or "" when the reference has none.
func (r Reference) Digest() string { return r.digest }

// String is the full form, which [ParseReference] reads back to the same
// value: "docker.io/library/busybox:latest", "localhost:5000/a/b:v1@sha256:…".
func (r Reference) String() string {
	s := r.Name()
	if r.tag != "" {
		s += ":" + r.tag
	}
	if r.digest != "" {
		s += "@" + r.digest
	}
	return s
}

// WithTag is the same repository with tag alone, without r's digest. The tag is
// used as given; content comes from a [Source] or [ParseReference], which check.
func (r Reference) WithTag(tag string) Reference {
	return Reference{registry: r.registry, repository: r.repository, tag: tag}
}

// WithDigest is the same repository with digest alone, without r's tag.
func (r Reference) WithDigest(digest string) Reference {
	return Reference{registry: r.registry, repository: r.repository, digest: digest}
}

// MarshalText is [Reference.String].
func (r Reference) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is [ParseReference].
func (r *Reference) UnmarshalText(text []byte) error {
	parsed, err := ParseReference(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}
