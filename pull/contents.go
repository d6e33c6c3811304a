// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// contents fetches the config and the layers side by side, and reads them.
func (f *fetch) contents(ctx context.Context, img *Image) error {
	manifest, err := parseManifest(img.Manifest)
	if err != nil {
		return err
	}
	if err := checkLayers(manifest); err != nil {
		return err
	}
	layers := make([][]byte, len(manifest.Layers))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(1 + maxLayers) // an artifact can have more
	group.Go(func() (err error) {
		img.Config, err = f.blob(ctx, "config", manifest.Config, image.MaxConfig)
		return err
	})
	for i, desc := range manifest.Layers {
		group.Go(func() (err error) {
			layers[i], err = f.blob(ctx, layerName(i), desc, image.MaxLayer)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return read(img, manifest, layers)
}

func (f *fetch) blob(ctx context.Context, what string, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	data, err := f.src.Blob(ctx, f.ref, desc, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	return data, nil
}

// checkLayers refuses what would be too much before anything is fetched.
func checkLayers(manifest ocispec.Manifest) error {
	layers, most := manifest.Layers, maxLayers
	if isArtifactConfig(manifest.Config) {
		most = maxArtifactLayers
	}
	count := len(layers)
	for _, l := range layers {
		if isBTFLayer(l) {
			count--
		}
	}
	if count == 0 || count > most {
		return bad("it has %d layers, a bytecode image has 1 to %d", count, most)
	}
	if len(layers) > maxArtifactLayers {
		return bad("it has %d layers, with those of BTF at most %d are allowed", len(layers), maxArtifactLayers)
	}
	var total int64
	for _, l := range layers {
		if l.Size > maxCompressed-total { // a sum could overflow
			return bad("its layers are over %d bytes, more than any bytecode image: %w", maxCompressed, image.ErrTooLarge)
		}
		total += l.Size
	}
	return nil
}

// read recognises the format and takes the objects out of the layers.
func read(img *Image, manifest ocispec.Manifest, layers [][]byte) error {
	config, err := parseConfig(manifest.Config.MediaType, img.Config)
	if err != nil {
		return err
	}
	img.Labels, img.Annotations = config.labels, manifest.Annotations
	recogniser, err := recognise(manifest, config, layers)
	if err != nil {
		return err
	}
	img.Format = recogniser.format
	c := contents{manifest, config, layers}
	if recogniser.format == FormatArtifact {
		img.Described, err = configDescription(img.Config)
	} else {
		img.Described, err = parseDescription(c, recogniser.format)
	}
	if err != nil {
		return err
	}
	switch img.Format {
	case FormatGadget:
		gadgetExtras(c, img)
	case FormatBumblebee:
		img.Notes = bumblebee.notes(c)
	case FormatBpfimg, FormatArtifact:
		if img.BTF, c, err = splitBTF(c, img.Format); err != nil {
			return err
		}
	}
	img.Objects, err = recogniser.objects(c)
	return err
}

// contents is what an image consists of, unread.
type contents struct {
	manifest ocispec.Manifest
	config   config
	layers   [][]byte
}

// config is what is read of an image config. It is empty for a config of
// another kind, such as that of a generic artifact.
type config struct {
	labels  map[string]string
	diffIDs []digest.Digest
}

// dockerConfig is docker's name of the image config.
const dockerConfig = "application/vnd.docker.container.image.v1+json"

func parseConfig(mediaType string, data []byte) (config, error) {
	if mediaType != ocispec.MediaTypeImageConfig && mediaType != dockerConfig {
		return config{}, nil
	}
	if err := checkJSON(data); err != nil {
		return config{}, bad("the config: %w", err)
	}
	var parsed struct {
		Config struct {
			Labels map[string]string `json:"Labels"`
		} `json:"config"`
		RootFS struct {
			DiffIDs []digest.Digest `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := boundedjson.Unmarshal(data, &parsed); err != nil {
		return config{}, bad("the config is not an image config: %w", err)
	}
	return config{labels: parsed.Config.Labels, diffIDs: parsed.RootFS.DiffIDs}, nil
}
