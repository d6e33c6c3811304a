// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// kernelTypes are BTF in which a task's number is at the place given, in bits.
func kernelTypes(t testing.TB, at btf.Bits) []byte {
	t.Helper()
	b, err := btf.NewBuilder([]btf.Type{&btf.Struct{Name: "task_struct", Size: 64, Members: []btf.Member{
		{Name: "tgid", Type: &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, Offset: at},
	}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestReadsBTFThatBuildWrites builds with an archive of three kernels, two of
// which are alike, in every form and compression.
func TestReadsBTFThatBuildWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for release, at := range map[string]btf.Bits{"5.4.0-1": 64, "5.4.0-2": 64, "4.19.0": 96} {
		if err := os.WriteFile(filepath.Join(dir, release+".btf"), kernelTypes(t, at), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	object, err := os.ReadFile("../bpf/testdata/core.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	for _, opts := range []build.Options{
		{}, {Compression: build.CompressionZstd}, {Compression: build.CompressionNone}, {Form: build.FormArtifact},
	} {
		opts.BTFArchive = dir
		t.Run(fmt.Sprintf("%s %s", opts.Form, opts.Compression), func(t *testing.T) {
			k := newKit(t, testregistry.Options{})
			inputs := []build.Input{{Name: "core.bpf.o", Bytes: object}, {Name: "a.o", Bytes: []byte(realObject(t))}}
			built, err := build.Build(t.Context(), k.src, k.ref, inputs, opts)
			if err != nil {
				t.Fatal(err)
			}
			img := k.mustFetch(Options{})
			if len(img.Objects) != 2 || !bytes.Equal(img.Objects[0].Bytes, object) || len(built.BTF) != 2 {
				t.Fatalf("%d objects, %+v", len(img.Objects), built.BTF)
			}
			var kernels [][]string
			for i, b := range img.BTF {
				kernels = append(kernels, b.Kernels)
				if _, err := btf.LoadSpecFromReader(bytes.NewReader(b.Bytes)); err != nil || b.Arch != "amd64" || len(b.Bytes) != built.BTF[i].Size {
					t.Errorf("%+v: %v", b, err)
				}
			}
			if diff := cmp.Diff([][]string{{"4.19.0"}, {"5.4.0-1", "5.4.0-2"}}, kernels); diff != "" {
				t.Errorf("kernels (-want +got):\n%s", diff)
			}
		})
	}
}

// withBTF is an image with an object and as many BTF layers as there are lists
// of kernels.
func withBTF(t testing.TB, lists ...[]string) contents {
	t.Helper()
	content := archive(t, good)
	c := layerOf(content, content, ocispec.MediaTypeImageLayer)
	for _, kernels := range lists {
		addLayer(t, &c, kernels, file{name: "x.btf", content: "types"})
	}
	return c
}

// addLayer adds a BTF layer with these files.
func addLayer(t testing.TB, c *contents, kernels []string, files ...file) {
	t.Helper()
	content := archive(t, files...)
	text, err := json.Marshal(kernels)
	if err != nil {
		t.Fatal(err)
	}
	desc := descriptor(ocispec.MediaTypeImageLayer, content)
	desc.Annotations = map[string]string{schemas.AnnotationBTFKernels: string(text), schemas.AnnotationBTFArch: "amd64"}
	c.manifest.Layers = append(c.manifest.Layers, desc)
	c.layers = append(c.layers, content)
	c.config.diffIDs = append(c.config.diffIDs, digest.FromBytes(content))
}

func TestSplitBTF(t *testing.T) {
	t.Parallel()
	btf, rest, err := splitBTF(withBTF(t, []string{"5.4"}, []string{"5.5", "5.6"}), FormatBpfimg)
	if err != nil || len(btf) != 2 || string(btf[1].Bytes) != "types" || btf[1].Digest != digest.FromString("types").String() {
		t.Fatalf("%+v: %v", btf, err)
	}
	if len(rest.layers) != 1 || len(rest.manifest.Layers) != 1 || len(rest.config.diffIDs) != 1 {
		t.Errorf("the objects have %d, %d and %d layers", len(rest.layers), len(rest.manifest.Layers), len(rest.config.diffIDs))
	}
	if objects, err := unpack(rest, strictRules); err != nil || len(objects) != 1 {
		t.Errorf("objects %v: %v", objects, err)
	}
	if btf, _, err := splitBTF(withBTF(t), FormatBpfimg); err != nil || btf != nil {
		t.Errorf("without: %v, %v", btf, err)
	}
}

func TestRefusedBTF(t *testing.T) {
	t.Parallel()
	annotated := func(key, value string) func(*contents) {
		return func(c *contents) { c.manifest.Layers[1].Annotations[key] = value }
	}
	many := make([]string, schemas.MaxBTFKernels+1)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	files := func(files ...file) func(*contents) {
		return func(c *contents) {
			*c = withBTF(t)
			addLayer(t, c, []string{"5.4"}, files...)
		}
	}
	for _, tc := range []struct {
		name string
		edit func(*contents)
		text string
	}{
		{"no JSON", annotated(schemas.AnnotationBTFKernels, "5.4"), "not a JSON array"},
		{"no array", annotated(schemas.AnnotationBTFKernels, `{"5.4":1}`), "not a JSON array"},
		{"more after it", annotated(schemas.AnnotationBTFKernels, `["5.4"]["5.5"]`), "not a JSON array"},
		{"no kernels", annotated(schemas.AnnotationBTFKernels, "[]"), "names no kernel"},
		{"escape", annotated(schemas.AnnotationBTFKernels, `["5\u001b[31m"]`), `"5\x1b[31m"`},
		{"long", annotated(schemas.AnnotationBTFKernels, `["`+strings.Repeat("5", 65)+`"]`), "not the release of a kernel"},
		{"path", annotated(schemas.AnnotationBTFKernels, `["../5.4"]`), "not the release of a kernel"},
		{"twice", annotated(schemas.AnnotationBTFKernels, `["5.4","5.4"]`), "named twice"},
		{"no architecture", annotated(schemas.AnnotationBTFArch, ""), "no architecture"},
		{"strange architecture", annotated(schemas.AnnotationBTFArch, "x86/64"), "no architecture"},
		{"in two layers", func(c *contents) { *c = withBTF(t, []string{"5.4"}, []string{"5.4"}) }, "layer 3: "},
		{"too many", func(c *contents) { *c = withBTF(t, many) }, "over 8192 kernels"},
		{"no file", files(), "0 files"},
		{"two files", files(file{name: "a.btf"}, file{name: "b.btf"}), "2 files"},
		{"an object", files(file{name: "a.o"}), "not an object"},
		{"a path", files(file{name: "../a.btf"}), "leaves"},
		{"large", files(file{name: "a.btf", content: strings.Repeat("x", schemas.MaxBTF+1)}), "at most 4194304"},
		{"another digest", func(c *contents) { c.config.diffIDs[1] = c.config.diffIDs[0] }, "unpacked it is"},
		{"too few digests", func(c *contents) { c.config.diffIDs = c.config.diffIDs[:1] }, "counts 1 layers, the manifest 2"},
		{"objects behind", func(c *contents) {
			slices.Reverse(c.layers)
			slices.Reverse(c.manifest.Layers)
		}, "layer 2 with objects follows one with BTF"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := withBTF(t, []string{"5.4"})
			tc.edit(&c)
			_, _, err := splitBTF(c, FormatBpfimg)
			if !errors.Is(err, ErrBadImage) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got error %v, want one with %q", err, tc.text)
			}
		})
	}
	c := withBTF(t, []string{"5.4"}) // the layers of an image in an artifact
	if _, _, err := splitBTF(c, FormatArtifact); !errors.Is(err, ErrBadImage) || !strings.Contains(err.Error(), "not the media type of BTF") {
		t.Errorf("got error %v", err)
	}
}

// TestBTFLayersAreCounted: many of BTF, few of objects.
func TestBTFLayersAreCounted(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		objects, btf int
		text         string
	}{
		{1, 63, ""},
		{1, 64, "at most 64"},
		{0, 1, "it has 0 layers"},
		{17, 1, "it has 17 layers"},
	} {
		m := ocispec.Manifest{Layers: make([]ocispec.Descriptor, tc.objects+tc.btf)}
		for i := range tc.btf {
			m.Layers[tc.objects+i].Annotations = map[string]string{schemas.AnnotationBTFKernels: "[]"}
		}
		if err := checkLayers(m); (err == nil) != (tc.text == "") || err != nil && !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%d and %d: got error %v, want %q", tc.objects, tc.btf, err, tc.text)
		}
	}
}

func FuzzBTFLayer(f *testing.F) {
	c := withBTF(f, []string{"5.4"})
	f.Add(`["5.4"]`, "amd64", c.layers[1])
	f.Add(`[]`, "", []byte("x"))
	f.Fuzz(func(t *testing.T, kernels, arch string, layer []byte) {
		c := withBTF(t, []string{"5.4"})
		c.layers[1], c.config.diffIDs[1] = layer, digest.FromBytes(layer)
		c.manifest.Layers[1].Annotations = map[string]string{schemas.AnnotationBTFKernels: kernels, schemas.AnnotationBTFArch: arch}
		found, _, err := splitBTF(c, FormatBpfimg)
		if err != nil && !errors.Is(err, ErrBadImage) && !errors.Is(err, image.ErrTooLarge) {
			t.Error(err)
		}
		for _, b := range found {
			if len(b.Bytes) > schemas.MaxBTF || slices.ContainsFunc(b.Kernels, func(k string) bool { return !schemas.ValidKernelRelease(k) }) {
				t.Errorf("taken: %+v", b)
			}
		}
	})
}
