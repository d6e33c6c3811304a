// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package docs

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// forms builds the example as an artifact and with a zstd layer, and reads both.
func (k *kit) forms() map[string]string {
	t := k.t
	t.Helper()
	ref := reference(t, "registry.example/net/xdp-counter:artifact")
	k.buildAs(ref, build.Options{Form: build.FormArtifact})
	m, parsed := k.manifest(ref)
	config := k.blob(parsed.Config)
	validate(t, "description", config)
	if string(config) != k.description() {
		t.Error("the config of an artifact is not the Description of the image")
	}
	k.pull("artifact", pull.FormatArtifact)

	ref = reference(t, "registry.example/net/xdp-counter:zstd")
	k.buildAs(ref, build.Options{Compression: build.CompressionZstd})
	_, packed := k.manifest(ref)
	k.pull("zstd", pull.FormatBpfimg)
	if _, image := k.manifest(k.ref); packed.Config.Digest != image.Config.Digest {
		t.Error("another compression gives another config")
	}
	return map[string]string{
		"artifact": indent(t, m.Bytes),
		"artifact-digests": fmt.Sprintf("object    %s\nconfig    %s\nmanifest  %s\n",
			parsed.Layers[0].Digest, parsed.Config.Digest, m.Descriptor.Digest),
		"zstd": zstdListing(t, packed.Layers[0], k.blob(packed.Layers[0])),
	}
}

// pull reads the image with the tag, which must hold the example's object.
func (k *kit) pull(tag string, want pull.Format) {
	t := k.t
	t.Helper()
	img, err := pull.Fetch(t.Context(), k.store, k.ref.WithTag(tag), pull.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if img.Format != want || len(img.Objects) != 1 || !bytes.Equal(img.Objects[0].Bytes, read(t, objectFile)) || img.Described == nil {
		t.Errorf("%s: a %s with %d objects", tag, img.Format, len(img.Objects))
	}
}

func zstdListing(t *testing.T, desc ocispec.Descriptor, layer []byte) string {
	t.Helper()
	var h zstd.Header
	if err := h.Decode(layer); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("layer         %s\nsize          %d bytes\nframe header  % x\ncontent       %d bytes, checksum %t\n",
		desc.Digest, desc.Size, layer[:h.HeaderSize], h.FrameContentSize, h.HasCheckSum)
}
