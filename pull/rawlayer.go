// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"bytes"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// elfMagic begins every ELF file.
const elfMagic = "\x7fELF"

// defaultObjectName is an object's name in an image that gives none.
const defaultObjectName = "program.o"

// elfLayer is layer i as an object: not packed, and named by its title, if it
// has one, as the tool that pushed the file did.
func elfLayer(c contents, i int) (Object, error) {
	name := c.manifest.Layers[i].Annotations[ocispec.AnnotationTitle]
	if name == "" {
		name = defaultObjectName
	}
	if err := checkFileName(name); err != nil {
		return Object{}, bad("the title of %s: %w", layerName(i), err)
	}
	if !bytes.HasPrefix(c.layers[i], []byte(elfMagic)) {
		return Object{}, bad("%s, of type %q, is no ELF file", layerName(i), clip(c.manifest.Layers[i].MediaType))
	}
	return newObject(name, c.layers[i]), nil
}

// partsFormat is a format whose parts are layers as they are, each of a media
// type of its own.
type partsFormat struct {
	artifactType, config string // either tells the format; "" for none
	// program is the type of the layer that is the object.
	program string
	// unused says of the types of other layers what is lost without them.
	unused map[string]string
}

// is goes by any mark: not all versions of a tool wrote all of them.
func (p partsFormat) is(c contents) bool {
	if p.artifactType != "" && c.manifest.ArtifactType == p.artifactType || c.manifest.Config.MediaType == p.config {
		return true
	}
	_, ok := c.layerOf(p.program)
	return ok
}

// objects returns the one object.
func (p partsFormat) objects(c contents) ([]Object, error) {
	seen := map[string]bool{}
	for _, l := range c.manifest.Layers {
		if seen[l.MediaType] {
			return nil, bad("it has two layers of type %q", clip(l.MediaType))
		}
		seen[l.MediaType] = true
	}
	i, ok := c.layerOf(p.program)
	if !ok {
		return nil, bad("it has no eBPF program: no layer is of type %q", p.program)
	}
	object, err := elfLayer(c, i)
	return []Object{object}, err
}

// notes says what of the image is not used.
func (p partsFormat) notes(c contents) []string {
	var notes []string
	for i, l := range c.manifest.Layers {
		lost, known := p.unused[l.MediaType]
		switch {
		case l.MediaType == p.program:
		case known:
			notes = append(notes, lost)
		default:
			notes = append(notes, fmt.Sprintf("%s, of type %q, is not used", layerName(i), clip(l.MediaType)))
		}
	}
	return notes
}

// layerOf returns the index of the first layer of a media type.
func (c contents) layerOf(mediaType string) (int, bool) {
	for i, l := range c.manifest.Layers {
		if l.MediaType == mediaType {
			return i, true
		}
	}
	return 0, false
}
