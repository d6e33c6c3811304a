// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package docs

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// readers are the blocks that others write and the code reads.
var readers = map[string]func(t *testing.T, body string){
	"bpfman":     func(t *testing.T, body string) { readLabels(t, body, pull.FormatBpfman) },
	"bpfman-old": func(t *testing.T, body string) { readLabels(t, body, pull.FormatBpfmanOld) },
	"gadget":     func(t *testing.T, body string) { readManifest(t, body, "name: xdp-counter\n", pull.FormatGadget) },
	"bumblebee":  func(t *testing.T, body string) { readManifest(t, body, "{}", pull.FormatBumblebee) },
}

// readManifest pulls the example as the manifest in body describes it.
func readManifest(t *testing.T, body, config string, want pull.Format) {
	store, err := image.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ref := reference(t, "registry.example/foreign:v1")
	object := read(t, objectFile)
	for _, data := range [][]byte{object, []byte(config)} {
		if err := store.PutBlob(t.Context(), ref, descriptor("application/octet-stream", data), data, ""); err != nil {
			t.Fatal(err)
		}
	}
	m := image.Manifest{Descriptor: descriptor(ocispec.MediaTypeImageManifest, []byte(body)), Bytes: []byte(body)}
	if err := store.PutManifest(t.Context(), ref, m); err != nil {
		t.Fatal(err)
	}
	img, err := pull.Fetch(t.Context(), store, ref, pull.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if img.Format != want || len(img.Objects) != 1 || img.Objects[0].File != "program.o" || !bytes.Equal(img.Objects[0].Bytes, object) {
		t.Errorf("read as %q with %d objects, want %q", img.Format, len(img.Objects), want)
	}
}

// readLabels pulls an image with the labels in body, as a container builder
// makes it.
func readLabels(t *testing.T, body string, want pull.Format) {
	var labels map[string]string
	if err := json.Unmarshal([]byte(body), &labels); err != nil {
		t.Fatal(err)
	}
	object := read(t, objectFile)
	archive, layer := foreignLayer(t, object)
	config := marshal(t, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		Config:   ocispec.ImageConfig{Labels: labels},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(archive)}},
	})
	store, err := image.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ref := reference(t, "registry.example/foreign:v1")
	put := func(mediaType string, data []byte) ocispec.Descriptor {
		desc := descriptor(mediaType, data)
		if err := store.PutBlob(t.Context(), ref, desc, data, ""); err != nil {
			t.Fatal(err)
		}
		return desc
	}
	m := marshal(t, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: put(ocispec.MediaTypeImageConfig, config), Layers: []ocispec.Descriptor{put(ocispec.MediaTypeImageLayerGzip, layer)},
	})
	if err := store.PutManifest(t.Context(), ref, image.Manifest{Descriptor: descriptor(ocispec.MediaTypeImageManifest, m), Bytes: m}); err != nil {
		t.Fatal(err)
	}
	img, err := pull.Fetch(t.Context(), store, ref, pull.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if img.Format != want || len(img.Objects) != 1 || img.Objects[0].File != "counter.bpf.o" || !bytes.Equal(img.Objects[0].Bytes, object) {
		t.Errorf("read as %q with %d objects, want %q", img.Format, len(img.Objects), want)
	}
}

// foreignLayer has a folder, another file and an extended header beside the
// object.
func foreignLayer(t *testing.T, object []byte) (archive, layer []byte) {
	var raw, packed bytes.Buffer
	w := tar.NewWriter(&raw)
	for _, entry := range []struct {
		header tar.Header
		data   []byte
	}{
		{tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}, nil},
		{tar.Header{Name: "./counter.bpf.o", Typeflag: tar.TypeReg, AccessTime: time.Unix(1, 0), Format: tar.FormatPAX}, object},
		{tar.Header{Name: "./README", Typeflag: tar.TypeReg}, []byte("text")},
	} {
		entry.header.Size = int64(len(entry.data))
		if err := w.WriteHeader(&entry.header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(entry.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(raw.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return raw.Bytes(), packed.Bytes()
}

func descriptor(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// validate holds an example to the published schema.
func validate(t *testing.T, name string, data []byte) {
	t.Helper()
	text, err := schemas.JSONSchema(name)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	c.AssertContent()
	if err := c.AddResource("mem:schema", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("mem:schema")
	if err != nil {
		t.Fatal(err)
	}
	example, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(example); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}
