// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"errors"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull/pulltest"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Every format, as its tool writes it, out of a registry and out of a layout,
// for each platform there is.
func TestForeignFormats(t *testing.T) {
	t.Parallel()
	object := []byte(realObject(t))
	for _, f := range pulltest.Fixtures {
		t.Run(f.Name, func(t *testing.T) {
			made, err := f.Make(object)
			if err != nil {
				t.Fatal(err)
			}
			store, err := image.OpenStore(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			k := newKit(t, testregistry.Options{})
			for name, place := range map[string]interface {
				image.Source
				image.Sink
			}{"registry": k.src, "layout": store} {
				if err := made.Push(t.Context(), place, k.ref); err != nil {
					t.Fatal(err)
				}
				for _, platform := range []string{"linux/amd64", "linux/arm64"} {
					img, err := Fetch(t.Context(), place, k.ref, Options{Platform: platform})
					if err != nil {
						t.Fatalf("%s, %s: %v", name, platform, err)
					}
					checkForeign(t, f, made, img, object)
				}
			}
		})
	}
}

func checkForeign(t *testing.T, f pulltest.Fixture, made *pulltest.Image, img *Image, object []byte) {
	t.Helper()
	root := made.Manifests[len(made.Manifests)-1]
	if string(img.Format) != f.Format || img.Root.Descriptor.Digest != root.Descriptor.Digest {
		t.Errorf("format %q, root %s, want %q, %s", img.Format, img.Root.Descriptor.Digest, f.Format, root.Descriptor.Digest)
	}
	if len(img.Objects) != 1 || img.Objects[0].File != f.Object || img.Objects[0].Digest != digest.FromBytes(object).String() {
		t.Errorf("objects %+v, want one called %s", img.Objects, f.Object)
	}
	if len(img.Notes) != len(f.Notes) || (img.GadgetBTF != nil) != (f.Name == "gadget-full") || img.Described != nil {
		t.Errorf("notes %q, %d bytes of BTF", img.Notes, len(img.GadgetBTF))
	}
	for i, word := range f.Notes {
		if !strings.Contains(img.Notes[i], word) {
			t.Errorf("note %q, want it to say %q", img.Notes[i], word)
		}
	}
}

// What is refused in images whose parts are layers of their own types, and how.
func TestForeignRefused(t *testing.T) {
	t.Parallel()
	elf := elfMagic + strings.Repeat("x", 60)
	layer := func(mediaType, title, data string) func(*kit) ocispec.Descriptor {
		return func(k *kit) ocispec.Descriptor {
			desc := k.blob(mediaType, []byte(data))
			if title != "" {
				desc.Annotations = map[string]string{ocispec.AnnotationTitle: title}
			}
			return desc
		}
	}
	type layers []func(*kit) ocispec.Descriptor
	for name, row := range map[string]struct {
		artifactType, config string
		layers               layers
		want                 error
		text                 string
	}{
		"a gadget of WebAssembly alone": {
			gadget.artifactType, emptyConfig,
			layers{layer("application/vnd.gadget.wasm.program.v1+binary", "", wasmMagic)},
			ErrBadImage, "no eBPF program",
		},
		"a gadget with two programs": {
			gadget.artifactType, gadget.config,
			layers{layer(gadget.program, "", elf), layer(gadget.program, "", elf+"y")},
			ErrBadImage, "two layers",
		},
		"a gadget with two tars of BTF": {
			gadget.artifactType, gadget.config,
			layers{layer(gadget.program, "", elf), layer(mediaTypeGadgetBTF, "", "a"), layer(mediaTypeGadgetBTF, "", "b")},
			ErrBadImage, "two layers",
		},
		"a gadget whose program is no ELF": {
			"", gadget.config, layers{layer(gadget.program, "", "\x1f\x8b")}, ErrBadImage, "no ELF",
		},
		"a gadget whose program is empty": {
			"", gadget.config, layers{layer(gadget.program, "", "")}, ErrBadImage, "no ELF",
		},
		"a title that leads away": {
			"", bumblebee.config, layers{layer(bumblebee.program, "../x.o", elf)}, ErrBadImage, "path",
		},
		"a title that writes to the terminal": {
			"", bumblebee.config, layers{layer(bumblebee.program, "\x1b[2J.o", elf)}, ErrBadImage, `\x1b`,
		},
		"bumblebee without a program": {
			"", bumblebee.config, layers{layer("application/octet-stream", "", elf)}, ErrBadImage, "no eBPF program",
		},
		"a WebAssembly module": {
			"", "application/vnd.wasm.config.v1+json",
			layers{layer("application/vnd.wasm.content.layer.v1+wasm", "", wasmMagic)},
			ErrUnknownFormat, "eunomia",
		},
		"text": {
			"", "application/vnd.cncf.helm.config.v1+json", layers{layer("application/x", "", "text")}, ErrUnknownFormat, "helm",
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, testregistry.Options{})
			m := ocispec.Manifest{ArtifactType: row.artifactType, Config: k.blob(row.config, []byte("{}"))}
			for _, l := range row.layers {
				m.Layers = append(m.Layers, l(k))
			}
			k.manifest("v1", m)
			if _, err := k.fetch(Options{}); !errors.Is(err, row.want) || !strings.Contains(err.Error(), row.text) {
				t.Errorf("got %v, want %v with %q", err, row.want, row.text)
			}
		})
	}
}

// Marks of a format that are not its own tool's: any one of them is enough, and
// what is not known is said, without the means to write to a terminal.
func TestForeignMarks(t *testing.T) {
	t.Parallel()
	k := newKit(t, testregistry.Options{})
	k.manifest("v1", ocispec.Manifest{
		Config: k.blob(emptyConfig, []byte("{}")),
		Layers: []ocispec.Descriptor{k.blob("application/x-\x1b[2J", []byte("?")), k.blob(gadget.program, []byte(realObject(t)))},
	})
	img := k.mustFetch(Options{})
	if img.Format != FormatGadget || len(img.Notes) != 1 || !strings.Contains(img.Notes[0], `layer 1, of type "application/x-\x1b[2J"`) {
		t.Errorf("format %q, notes %q", img.Format, img.Notes)
	}
}

// Any one of the older labels tells an image of bpfman.
func TestOldLabels(t *testing.T) {
	t.Parallel()
	for _, label := range []string{
		schemas.LabelOldProgramType, schemas.LabelOldProgramName, schemas.LabelOldFilename,
		schemas.LabelOldSectionName, schemas.LabelOldFunctionName,
	} {
		k := newKit(t, testregistry.Options{})
		k.image(pushed{tag: "v1", labels: map[string]string{label: "x.o"}, layers: [][]byte{archive(t, file{name: "x.o", content: "x"})}})
		if img := k.mustFetch(Options{}); img.Format != FormatBpfmanOld {
			t.Errorf("%s: format %q", label, img.Format)
		}
	}
}

// What an ordinary container image can look like that is not taken for an
// image of objects.
func TestPlainImageRefused(t *testing.T) {
	t.Parallel()
	object := realObject(t)
	userspace := "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 11) + "\x3e\x00" + strings.Repeat("\x00", 44) // EM_X86_64
	for name, p := range map[string]pushed{
		"an object for another machine": {layers: [][]byte{archive(t, file{name: "x.o", content: userspace})}},
		"one of two for another":        {layers: [][]byte{archive(t, file{name: "a.o", content: object}, file{name: "b.o", content: userspace})}},
		"cut short":                     {layers: [][]byte{archive(t, file{name: "a.o", content: elfMagic})}},
		"an object in a folder":         {layers: [][]byte{archive(t, file{name: "a/b.o", content: object})}},
		"a link beside it":              {layers: [][]byte{archive(t, file{name: "a.o", content: object}, file{name: "sh", kind: '2', link: "a.o"})}},
		"an artifact":                   {artifactType: "application/x", layers: [][]byte{archive(t, file{name: "a.o", content: object})}},
		"a config of another kind": {
			configType: emptyConfig, config: []byte("{}"), layers: [][]byte{archive(t, file{name: "a.o", content: object})},
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, testregistry.Options{})
			p.tag = "v1"
			k.image(p)
			if img, err := k.fetch(Options{}); !errors.Is(err, ErrUnknownFormat) {
				t.Errorf("got %v, %v", img, err)
			}
		})
	}
	for big, want := range map[byte]bool{1: false, 2: true} {
		data := []byte(elfMagic + strings.Repeat("\x00", 14) + "\x00\xf7")
		data[elfDataOffset] = big
		if isBPF(data) != want {
			t.Errorf("data encoding %d: taken for BPF: %v", big, !want)
		}
	}
}
