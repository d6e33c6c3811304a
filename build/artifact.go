// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxArtifactObjects bounds the objects of one artifact: each is a layer, which
// costs a request, and image.Copy takes no more.
const MaxArtifactObjects = 64

// packArtifact makes an artifact: its config is the Description, and each object
// is a layer as it is. The manifest's annotations are those of an image, and the
// platform, which an image has in its config.
func packArtifact(src source) (contents, error) {
	if n := len(src.files); n > MaxArtifactObjects {
		return contents{}, fmt.Errorf("%w: %d objects given, at most %d fit one artifact; choose format %s, or spread them over several artifacts",
			ErrInput, n, MaxArtifactObjects, FormImage)
	}
	annotations, err := artifactAnnotations(src)
	if err != nil {
		return contents{}, err
	}
	var c contents
	for _, f := range src.files {
		layer := newBlob(schemas.MediaTypeObject, f.data)
		layer.desc.Annotations = map[string]string{ocispec.AnnotationTitle: f.name}
		c.layers = append(c.layers, layer)
	}
	for _, b := range src.btf {
		layer := newBlob(schemas.MediaTypeBTF, b.data)
		if layer.desc.Annotations, err = b.annotations(); err != nil {
			return contents{}, err
		}
		c.layers = append(c.layers, layer)
	}
	if c.config, err = jsonBlob(schemas.MediaTypeDescription, src.desc); err != nil {
		return contents{}, err
	}
	c.manifest, err = manifestBlob(c, schemas.ArtifactType, annotations)
	return c, err
}

func artifactAnnotations(src source) (map[string]string, error) {
	for _, labels := range []map[string]string{src.opts.File.Labels, src.opts.Labels} {
		for _, key := range slices.Sorted(maps.Keys(labels)) {
			return nil, fmt.Errorf("%w: label %q: an artifact has no image config to hold labels; make it an annotation, or choose format %s",
				ErrOptions, key, FormImage)
		}
	}
	_, annotations, err := allLabels(src.desc, src.created, src.opts)
	if err != nil {
		return nil, err
	}
	annotations[schemas.AnnotationPlatform] = platformText(src.platform)
	return annotations, nil
}

// platformText is os/arch[/variant].
func platformText(p ocispec.Platform) string {
	return strings.TrimSuffix(strings.Join([]string{p.OS, p.Architecture, p.Variant}, "/"), "/")
}
