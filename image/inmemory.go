// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// inMemory is what [InMemory] returns.
type inMemory struct {
	root      Manifest
	manifests map[digest.Digest]Manifest
	blobs     map[digest.Digest][]byte
}

var _ Source = (*inMemory)(nil)

// InMemory returns a source of what is in memory only: root, which every tag
// names, the manifests below it, and the blobs, each by the digest it is to have.
// The content stays the caller's, and is hashed whenever it is read.
func InMemory(root Manifest, manifests []Manifest, blobs map[digest.Digest][]byte) Source {
	s := &inMemory{root: root, manifests: map[digest.Digest]Manifest{root.Descriptor.Digest: root}, blobs: blobs}
	for _, m := range manifests {
		s.manifests[m.Descriptor.Digest] = m
	}
	return s
}

// Manifest implements [Source].
func (s *inMemory) Manifest(ctx context.Context, ref Reference) (Manifest, error) {
	if err := joined.Errors(ctx.Err(), ref.check()); err != nil {
		return Manifest{}, err
	}
	m := s.root
	if ref.digest != "" {
		var ok bool
		if m, ok = s.manifests[digest.Digest(ref.digest)]; !ok {
			return Manifest{}, fmt.Errorf("manifest %s: %w", ref, ErrNotFound)
		}
	}
	if err := checkContent(m.Bytes, m.Descriptor); err != nil {
		return Manifest{}, fmt.Errorf("manifest %s: %w", ref, err)
	}
	return m, nil
}

// Blob implements [Source].
func (s *inMemory) Blob(ctx context.Context, ref Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if err := joined.Errors(ctx.Err(), checkDescriptor(desc, limit)); err != nil {
		return nil, err
	}
	data, ok := s.blobs[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s of %s: %w", desc.Digest, ref.Name(), ErrNotFound)
	}
	if err := checkContent(data, desc); err != nil {
		return nil, fmt.Errorf("blob of %s: %w", ref.Name(), err)
	}
	return data, nil
}

// Referrers implements [Source]: nothing is attached.
func (s *inMemory) Referrers(ctx context.Context, ref Reference) ([]ocispec.Descriptor, error) {
	if ref.digest == "" {
		return nil, fmt.Errorf("listing the referrers of %s: %w: it has no digest", ref, ErrReference)
	}
	return nil, joined.Errors(ctx.Err(), ref.check())
}
