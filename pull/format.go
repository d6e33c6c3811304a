// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// recogniser knows one [Format].
type recogniser struct {
	format Format
	// is says whether the image is of this format.
	is func(contents) bool
	// objects takes the objects out.
	objects func(contents) ([]Object, error)
}

// recognisers in the order they are asked: what says more about itself comes
// first. A new format is a row here.
var recognisers = []recogniser{
	{FormatArtifact, isArtifact, artifactObjects},
	{FormatBpfimg, isBpfimg, func(c contents) ([]Object, error) { return unpack(c, strictRules) }},
	{FormatGadget, gadget.is, gadget.objects},
	{FormatBumblebee, bumblebee.is, bumblebee.objects},
	{FormatBpfman, hasLabel(schemas.LabelPrograms, schemas.LabelMaps), func(c contents) ([]Object, error) {
		return unpack(c, looseRules)
	}},
	{FormatBpfmanOld, hasLabel(schemas.LabelOldProgramType, schemas.LabelOldProgramName, schemas.LabelOldFilename,
		schemas.LabelOldSectionName, schemas.LabelOldFunctionName), unpackOld},
	{FormatELF, isPlainELF, plainELF},
	{FormatPlainImage, isPlainImage, func(c contents) ([]Object, error) { return unpack(c, looseRules) }},
}

func recognise(manifest ocispec.Manifest, config config, layers [][]byte) (recogniser, error) {
	c := contents{manifest, config, layers}
	for _, r := range recognisers {
		if r.is(c) {
			return r, nil
		}
	}
	return recogniser{}, unknownFormat(c)
}

// wasmMagic begins every WebAssembly module.
const wasmMagic = "\x00asm"

// unknownFormat says what the image is instead.
func unknownFormat(c contents) error {
	kind := c.manifest.ArtifactType
	if kind == "" {
		kind = c.manifest.Config.MediaType
	}
	for _, l := range c.layers {
		if bytes.HasPrefix(l, []byte(wasmMagic)) {
			return fmt.Errorf("%w: it is a %q with a WebAssembly module, such as eunomia-bpf makes; only eBPF objects are run", ErrUnknownFormat, clip(kind))
		}
	}
	return fmt.Errorf("%w: it is a %q without eBPF labels, and neither is its layer an ELF file nor has its root objects for BPF", ErrUnknownFormat, clip(kind))
}

// ownPrefix begins every label and annotation of ours.
const ownPrefix = "dev.bpfimg."

// isBpfimg: any mark is enough. A label is what there always is; tools that write a
// config anew may drop it, and those that write a manifest anew the annotations and the
// artifactType, which only images of bpfimg's first releases have.
func isBpfimg(c contents) bool {
	if c.manifest.ArtifactType == schemas.ArtifactType {
		return true
	}
	for _, marks := range []map[string]string{c.config.labels, c.manifest.Annotations} {
		for key := range marks {
			if strings.HasPrefix(key, ownPrefix) {
				return true
			}
		}
	}
	return false
}

func hasLabel(labels ...string) func(contents) bool {
	return func(c contents) bool {
		for _, l := range labels {
			if _, ok := c.config.labels[l]; ok {
				return true
			}
		}
		return false
	}
}

// unpackOld takes the one file the label names, or all objects without it.
func unpackOld(c contents) ([]Object, error) {
	rules := looseRules
	rules.only = c.config.labels[schemas.LabelOldFilename]
	if rules.only != "" {
		if err := checkFileName(rules.only); err != nil {
			return nil, bad("label %s: %w", schemas.LabelOldFilename, err)
		}
	}
	return unpack(c, rules)
}

// isPlainELF goes by the bytes: generic tools write whatever media type they
// are told. Those that push several files make a layer of each.
func isPlainELF(c contents) bool {
	for _, layer := range c.layers {
		if !bytes.HasPrefix(layer, []byte(elfMagic)) {
			return false
		}
	}
	return len(c.layers) > 0
}

// plainELF returns the objects in the order of the layers. Several are told apart by
// their titles.
func plainELF(c contents) ([]Object, error) {
	var objects []Object
	seen := map[string]bool{}
	for i := range c.layers {
		object, err := elfLayer(c, i)
		if err != nil {
			return nil, err
		}
		if seen[object.File] {
			return nil, bad("two of its layers are called %q: give each a title (annotation %s)", object.File, ocispec.AnnotationTitle)
		}
		seen[object.File] = true
		objects = append(objects, object)
	}
	return objects, nil
}

func newObject(name string, data []byte) Object {
	return Object{File: name, Digest: digest.FromBytes(data).String(), Bytes: data}
}
