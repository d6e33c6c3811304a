// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"slices"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
)

// built is a source of what was built and is in memory only.
func built(index blob, images []platformImage) image.Source {
	var manifests []image.Manifest
	blobs := map[digest.Digest][]byte{}
	for _, im := range images {
		manifests = append(manifests, im.parts.manifest.manifest())
		for _, part := range im.parts.blobs() {
			blobs[part.desc.Digest] = part.data
		}
	}
	return image.InMemory(index.manifest(), manifests, blobs)
}

// blobs are what the manifest names, in the order they are stored.
func (c contents) blobs() []blob { return append(slices.Clone(c.layers), c.config) }

// manifest is b as a manifest.
func (b blob) manifest() image.Manifest {
	return image.Manifest{Descriptor: b.desc, Bytes: b.data}
}
