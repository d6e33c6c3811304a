// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pulltest

import (
	"bytes"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types of Inspektor Gadget (docs/reference/oci.md) and of bumblebee
// (spec/README.md). They are spelled out here again, so that a typo in the
// reader fails.
const (
	gadgetArtifact   = "application/vnd.gadget.v1+binary"
	gadgetConfig     = "application/vnd.gadget.config.v1+yaml"
	gadgetProgram    = "application/vnd.gadget.ebpf.program.v1+binary"
	gadgetWasm       = "application/vnd.gadget.wasm.program.v1+binary"
	gadgetBTF        = "application/vnd.gadget.btfgen.v1+binary"
	bumblebeeConfig  = "application/ebpf.oci.image.config.v1+json"
	bumblebeeProgram = "application/ebpf.oci.image.program.v1+binary"
)

// GadgetMetadata is the config of the gadgets made here.
const GadgetMetadata = "name: counter\ndescription: counts packets\n"

// WasmModule is the smallest WebAssembly module: magic and version 1.
const WasmModule = "\x00asm\x01\x00\x00\x00"

// gadgetNow is what `ig image build` writes: for each architecture a manifest
// without mediaType, its layers without titles, the annotations that it takes
// from the metadata on the manifest, its entry and the config.
func gadgetNow(im *Image, object []byte) (ocispec.Descriptor, error) {
	return im.gadget(func(m *ocispec.Manifest) { m.Layers = []ocispec.Descriptor{im.blob(gadgetProgram, object)} })
}

func (im *Image) gadget(change func(*ocispec.Manifest)) (ocispec.Descriptor, error) {
	about := map[string]string{
		ocispec.AnnotationTitle: "counter", ocispec.AnnotationDescription: "counts packets",
		ocispec.AnnotationCreated: "2024-05-01T00:00:00Z",
	}
	return im.index(bothPlatforms, func(p ocispec.Platform) (ocispec.Descriptor, error) {
		config := im.blob(gadgetConfig, []byte(GadgetMetadata))
		config.Annotations = about
		// The two architectures differ, as compiled objects do.
		annotations := map[string]string{"arch": p.Architecture}
		for k, v := range about {
			annotations[k] = v
		}
		m := ocispec.Manifest{ArtifactType: gadgetArtifact, Config: config, Annotations: annotations}
		change(&m)
		desc, err := im.unnamed(m)
		desc.Annotations = annotations
		return desc, err
	})
}

// gadgetFull has all parts a gadget may have.
func gadgetFull(im *Image, object []byte) (ocispec.Descriptor, error) {
	btf, err := archive(entry{name: "./", folder: true}, entry{name: "./ubuntu/20.04/x86_64/5.4.0-1.btf", data: []byte("\x9f\xeb\x01")})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return im.gadget(func(m *ocispec.Manifest) {
		m.Layers = []ocispec.Descriptor{
			im.blob(gadgetProgram, object), im.blob(gadgetWasm, []byte(WasmModule)), im.blob(gadgetBTF, btf),
		}
	})
}

// gadgetBare has no metadata: its config is OCI's empty one.
func gadgetBare(im *Image, object []byte) (ocispec.Descriptor, error) {
	return im.gadget(func(m *ocispec.Manifest) {
		m.Config = im.blob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
		m.Layers = []ocispec.Descriptor{im.blob(gadgetProgram, object)}
	})
}

// gadgetFirst is what the first versions wrote: titles, and no artifactType.
func gadgetFirst(im *Image, object []byte) (ocispec.Descriptor, error) {
	return im.gadget(func(m *ocispec.Manifest) {
		m.ArtifactType, m.Annotations = "", nil
		m.Config = im.titled(gadgetConfig, "config.yaml", []byte(GadgetMetadata))
		m.Layers = []ocispec.Descriptor{im.titled(gadgetProgram, "program.o", object)}
	})
}

// bumblebeeNow is what `bee build` and `bee push` write.
func bumblebeeNow(im *Image, object []byte) (ocispec.Descriptor, error) {
	return im.unnamed(ocispec.Manifest{
		Config:      im.titled(bumblebeeConfig, "config.json", []byte("{}")),
		Layers:      []ocispec.Descriptor{im.titled(bumblebeeProgram, "program.o", object)},
		Annotations: map[string]string{ocispec.AnnotationAuthors: "someone", ocispec.AnnotationDescription: "counts packets"},
	})
}

// orasNow is `oras push REF counter.bpf.o`: an OCI 1.1 artifact, whose layer
// gets the type of a tar although it is none.
func orasNow(im *Image, object []byte) (ocispec.Descriptor, error) {
	config := im.blob(ocispec.MediaTypeEmptyJSON, []byte("{}"))
	config.Data = []byte("{}")
	m := ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.unknown.artifact.v1", Config: config,
		Layers:      []ocispec.Descriptor{im.titled(ocispec.MediaTypeImageLayer, "counter.bpf.o", object)},
		Annotations: map[string]string{ocispec.AnnotationCreated: "2024-05-01T00:00:00Z"},
	}
	return im.unnamed(m)
}

// orasFirst is the same by oras 0.x, before there was an artifactType.
func orasFirst(im *Image, object []byte) (ocispec.Descriptor, error) {
	return im.unnamed(ocispec.Manifest{
		Config: im.blob("application/vnd.unknown.config.v1+json", []byte("{}")),
		Layers: []ocispec.Descriptor{im.titled("application/x-elf", "counter.bpf.o", object)},
	})
}

// regctl is `regctl artifact put --artifact-type application/vnd.acme.bpf REF`:
// without a title, because it read the object from a pipe.
func regctl(im *Image, object []byte) (ocispec.Descriptor, error) {
	return im.unnamed(ocispec.Manifest{
		MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.acme.bpf",
		Config: im.blob(ocispec.MediaTypeEmptyJSON, []byte("{}")),
		Layers: []ocispec.Descriptor{im.blob("application/octet-stream", bytes.Clone(object))},
	})
}
