// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"context"
	"fmt"
	"slices"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// built is an [image.Source] of what was built and is in memory only.
type built struct {
	root      image.Manifest
	manifests map[digest.Digest]image.Manifest
	blobs     map[digest.Digest][]byte
}

var _ image.Source = (*built)(nil)

func newBuilt(index blob, images []platformImage) *built {
	b := &built{
		root:      index.manifest(),
		manifests: map[digest.Digest]image.Manifest{},
		blobs:     map[digest.Digest][]byte{},
	}
	for _, im := range images {
		b.manifests[im.parts.manifest.desc.Digest] = im.parts.manifest.manifest()
		for _, part := range im.parts.blobs() {
			b.blobs[part.desc.Digest] = part.data
		}
	}
	return b
}

// blobs are what the manifest names, in the order they are stored.
func (c contents) blobs() []blob { return append(slices.Clone(c.layers), c.config) }

// manifest is b as a manifest.
func (b blob) manifest() image.Manifest {
	return image.Manifest{Descriptor: b.desc, Bytes: b.data}
}

// Manifest implements [image.Source]: the root, whatever ref's tag, or what
// ref's digest names.
func (b *built) Manifest(_ context.Context, ref image.Reference) (image.Manifest, error) {
	if m, ok := b.manifests[digest.Digest(ref.Digest())]; ok {
		return m, nil
	}
	return b.root, nil
}

// Blob implements [image.Source].
func (b *built) Blob(_ context.Context, _ image.Reference, desc ocispec.Descriptor, _ int64) ([]byte, error) {
	data, ok := b.blobs[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, image.ErrNotFound)
	}
	return data, nil
}

// Referrers implements [image.Source]: nothing is attached yet.
func (b *built) Referrers(context.Context, image.Reference) ([]ocispec.Descriptor, error) {
	return nil, nil
}
