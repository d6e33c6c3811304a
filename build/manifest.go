// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// packImage makes an image: a config with labels, and one layer with all objects. Its
// manifest has no artifactType: some registries refuse those they do not know, even
// beside the config of a container image (docs/spec.md, "Beside what docker buildx
// writes").
func packImage(src source) (contents, error) {
	labels, annotations, err := allLabels(src.desc, src.created, src.opts)
	if err != nil {
		return contents{}, err
	}
	archive, err := tarLayer(src.files)
	if err != nil {
		return contents{}, err
	}
	layer, err := packLayer(archive, src.opts.Compression)
	if err != nil {
		return contents{}, err
	}
	c := contents{layers: []blob{layer}}
	types, archives, err := btfLayers(src)
	if err != nil {
		return contents{}, err
	}
	c.layers = append(c.layers, types...)
	config := imageConfig(append([][]byte{archive}, archives...), src.platform, src.created, labels)
	if c.config, err = jsonBlob(ocispec.MediaTypeImageConfig, config); err != nil {
		return contents{}, err
	}
	c.manifest, err = manifestBlob(c, "", annotations)
	return c, err
}

// packLayer compresses the archive; "" is the default.
func packLayer(archive []byte, how Compression) (blob, error) {
	if len(archive) > image.MaxLayer {
		return blob{}, tooLarge("archive", int64(len(archive)), image.MaxLayer, hintSpread)
	}
	if how == "" {
		how = CompressionGzip
	}
	packed, err := compressions[how].pack(archive)
	if err != nil {
		return blob{}, err
	}
	return newBlob(compressions[how].mediaType, packed), nil
}

// manifestBlob is the manifest of the config and layers in c; artifactType may be "".
func manifestBlob(c contents, artifactType string, annotations map[string]string) (blob, error) {
	layers := make([]ocispec.Descriptor, 0, len(c.layers))
	for _, l := range c.layers {
		layers = append(layers, l.desc)
	}
	manifest, err := jsonBlob(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType,
		Config:       c.config.desc,
		Layers:       layers,
		Annotations:  annotations,
	})
	// The descriptor in a store has it, too.
	manifest.desc.ArtifactType = artifactType
	return manifest, err
}

// imageConfig is a config any container tool accepts. The history has one entry
// a layer because some tools expect as many.
func imageConfig(archives [][]byte, p ocispec.Platform, created time.Time, labels map[string]string) ocispec.Image {
	config := ocispec.Image{
		Created:  &created,
		Platform: p,
		Config:   ocispec.ImageConfig{Labels: labels},
		RootFS:   ocispec.RootFS{Type: "layers"},
	}
	for _, archive := range archives {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, digest.FromBytes(archive))
		config.History = append(config.History, ocispec.History{Created: &created, CreatedBy: "bpfimg build"})
	}
	return config
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

const hintSpread = "spread the objects over several images"

// checkSizes refuses an image that no reader of ours would accept.
func (c contents) checkSizes() error {
	var layers int64
	for _, l := range c.layers {
		layers += l.desc.Size
	}
	for _, part := range []struct {
		what        string
		size, limit int64
		hint        string
	}{
		{"layer", layers, image.MaxLayer, hintSpread},
		{"config", c.config.desc.Size, image.MaxConfig, "shorten the labels or " + hintSpread},
		{"manifest", c.manifest.desc.Size, image.MaxManifest, "shorten the annotations or " + hintSpread},
	} {
		if part.size > part.limit {
			return tooLarge(part.what, part.size, part.limit, part.hint)
		}
	}
	return nil
}

func tooLarge(what string, size, limit int64, hint string) error {
	return fmt.Errorf("%w: the %s is %d bytes, at most %d are allowed; %s: %w", ErrInput, what, size, limit, hint, image.ErrTooLarge)
}
