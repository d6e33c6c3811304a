// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// intact hashes every byte of img that is used, again and here, and returns the
// digest a signature must be for, that of what the reference resolved to, and
// after it the image manifest's when that was chosen from an index, which really
// lists it. An error wraps
// [image.ErrDigestMismatch] where bytes are not what their digest names.
func intact(img *pull.Image) ([]digest.Digest, error) {
	want := img.Manifest.Descriptor.Digest
	if err := rehash("the image manifest", img.Manifest.Bytes, want); err != nil {
		return nil, err
	}
	var manifest ocispec.Manifest
	if err := boundedjson.Unmarshal(img.Manifest.Bytes, &manifest); err != nil {
		return nil, fmt.Errorf("the image manifest is not JSON: %w", err)
	}
	if err := rehash("the image config", img.Config, manifest.Config.Digest); err != nil {
		return nil, err
	}
	for _, o := range img.Objects {
		if err := rehashOurs(fmt.Sprintf("object %q", o.File), o.Bytes, digest.Digest(o.Digest)); err != nil {
			return nil, err
		}
	}
	for i, b := range img.BTF {
		if err := rehashOurs(fmt.Sprintf("BTF %d", i+1), b.Bytes, digest.Digest(b.Digest)); err != nil {
			return nil, err
		}
	}
	root := img.Root.Descriptor.Digest
	if root == want {
		return []digest.Digest{want}, nil
	}
	if err := lists(img.Root, want); err != nil {
		return nil, err
	}
	return []digest.Digest{root, want}, nil
}

// lists returns nil when the index root names child.
func lists(root image.Manifest, child digest.Digest) error {
	if err := rehash("the index", root.Bytes, root.Descriptor.Digest); err != nil {
		return err
	}
	var index ocispec.Index
	if err := boundedjson.Unmarshal(root.Bytes, &index); err != nil {
		return fmt.Errorf("the index is not JSON: %w", err)
	}
	for _, m := range index.Manifests {
		if m.Digest == child {
			return nil
		}
	}
	return fmt.Errorf("the index %s does not list this image", root.Descriptor.Digest)
}

// rehashOurs is rehash for what package pull has named: always by SHA-256, which is what
// records and reports hold.
func rehashOurs(what string, data []byte, want digest.Digest) error {
	if err := want.Validate(); err != nil || want.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%s has the digest %q: want sha256:<hex>", what, want)
	}
	return rehash(what, data, want)
}

// rehash compares data with want.
func rehash(what string, data []byte, want digest.Digest) error {
	if err := image.CheckDigest(want); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if got := want.Algorithm().FromBytes(data); got != want {
		return fmt.Errorf("%s: %w: is %s, should be %s", what, image.ErrDigestMismatch, got, want)
	}
	return nil
}
