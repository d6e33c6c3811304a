// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// artifactLayers are the layers an artifact may have, by their media type: what
// to do with one. Others are refused. A new kind of layer is a row here.
var artifactLayers = map[string]func(*artifact, ocispec.Descriptor, []byte) error{
	schemas.MediaTypeObject: (*artifact).object,
}

// artifact collects what the layers of an artifact hold.
type artifact struct {
	objects []Object
	seen    map[string]bool // file names
}

// isArtifact goes by the config, the one mark that no tool drops: it is what the
// form is about.
func isArtifact(c contents) bool { return isArtifactConfig(c.manifest.Config) }

func isArtifactConfig(config ocispec.Descriptor) bool {
	return config.MediaType == schemas.MediaTypeDescription
}

// configDescription reads the config of an artifact, which is held to the same
// rules as the label of an image, but has to be there.
func configDescription(data []byte) (*schemas.Description, error) {
	desc, err := decodeDescription(string(data))
	if err != nil {
		return nil, fmt.Errorf("the config, a Description: %w", err)
	}
	return desc, nil
}

// artifactObjects takes the objects out of the layers, whose order is load order.
// Layers are not compressed: their size in the manifest, which is checked before
// they are fetched, is all there is.
func artifactObjects(c contents) ([]Object, error) {
	a := &artifact{seen: map[string]bool{}}
	for i, layer := range c.manifest.Layers {
		read, ok := artifactLayers[layer.MediaType]
		if !ok {
			return nil, fmt.Errorf("%s: %w", layerName(i), bad("%q is not the media type of a layer of an artifact", clip(layer.MediaType)))
		}
		if err := read(a, layer, c.layers[i]); err != nil {
			return nil, fmt.Errorf("%s: %w", layerName(i), err)
		}
	}
	if len(a.objects) == 0 {
		return nil, bad("it has no layer that is an object")
	}
	return a.objects, nil
}

// object takes one object, under the rules for the entries of an image's layer.
func (a *artifact) object(layer ocispec.Descriptor, data []byte) error {
	name, ok := layer.Annotations[ocispec.AnnotationTitle]
	if !ok {
		return bad("it has no annotation %s, which names the object", ocispec.AnnotationTitle)
	}
	if err := checkFileName(name); err != nil {
		return bad("its title: %w", err)
	}
	if !strings.HasSuffix(name, objectSuffix) {
		return bad("its title %q does not end in %q", clip(name), objectSuffix)
	}
	if a.seen[name] {
		return bad("its title %q is that of another layer, too", clip(name))
	}
	a.seen[name] = true
	a.objects = append(a.objects, newObject(name, data))
	return nil
}
