// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// pack makes the blobs of the image and checks them against the limits readers
// keep.
func pack(files []file, p ocispec.Platform, created time.Time, labels, annotations map[string]string) (contents, error) {
	archive, err := tarLayer(files)
	if err != nil {
		return contents{}, err
	}
	c := contents{layer: newBlob(ocispec.MediaTypeImageLayerGzip, gzipStored(archive))}
	if c.config, err = jsonBlob(ocispec.MediaTypeImageConfig, imageConfig(archive, p, created, labels)); err != nil {
		return contents{}, err
	}
	c.manifest, err = jsonBlob(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: schemas.ArtifactType,
		Config:       c.config.desc,
		Layers:       []ocispec.Descriptor{c.layer.desc},
		Annotations:  annotations,
	})
	if err != nil {
		return contents{}, err
	}
	// Only the descriptor in an index or store carries it; the manifest itself
	// says it above.
	c.manifest.desc.ArtifactType = schemas.ArtifactType
	return c, c.checkSizes()
}

// imageConfig is a config any container tool accepts. The history has one entry
// because some tools expect as many as there are layers.
func imageConfig(archive []byte, p ocispec.Platform, created time.Time, labels map[string]string) ocispec.Image {
	return ocispec.Image{
		Created:  &created,
		Platform: p,
		Config:   ocispec.ImageConfig{Labels: labels},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(archive)}},
		History:  []ocispec.History{{Created: &created, CreatedBy: "bpfimg build"}},
	}
}

func newBlob(mediaType string, data []byte) blob {
	return blob{
		desc: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))},
		data: data,
	}
}

// jsonBlob relies on encoding/json writing struct fields in order and map keys
// sorted.
func jsonBlob(mediaType string, v any) (blob, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return blob{}, fmt.Errorf("writing %s: %w", mediaType, err)
	}
	return newBlob(mediaType, data), nil
}

// checkSizes refuses an image that no reader of ours would accept.
func (c contents) checkSizes() error {
	for _, part := range []struct {
		what  string
		limit int64
		blob  blob
		hint  string
	}{
		{"layer", image.MaxLayer, c.layer, "spread the objects over several images"},
		{"config", image.MaxConfig, c.config, "shorten the labels or spread the objects over several images"},
		{"manifest", image.MaxManifest, c.manifest, "shorten the annotations or spread the objects over several images"},
	} {
		if size := part.blob.desc.Size; size > part.limit {
			return fmt.Errorf("%w: the %s is %d bytes, at most %d are allowed; %s: %w", ErrInput, part.what, size, part.limit, part.hint, image.ErrTooLarge)
		}
	}
	return nil
}
