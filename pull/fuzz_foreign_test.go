// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull/pulltest"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fuzzForeign feeds whatever a registry can say about an image of a format:
// manifest, config and up to two layers, seeded with the fixtures of the format.
// Digests are made to fit, as an attacker would.
func fuzzForeign(f *testing.F, formats ...Format) {
	// An ELF header, as far as it is looked at: short seeds mutate faster.
	object := slices.Concat([]byte(elfMagic+"\x02\x01\x01"), make([]byte, 11), []byte{elfMachineBPF, 0}, make([]byte, 44))
	for _, fixture := range pulltest.Fixtures {
		if !slices.Contains(formats, Format(fixture.Format)) {
			continue
		}
		made, err := fixture.Make(object)
		if err != nil {
			f.Fatal(err)
		}
		config, layers := blobsOf(f, made)
		f.Add(made.Manifests[0].Bytes, config, layers[0], layers[1])
	}
	f.Fuzz(func(t *testing.T, manifest, config, first, second []byte) {
		parsed, err := parseManifest(manifestOf(ocispec.MediaTypeImageManifest, string(manifest)))
		if err != nil || len(parsed.Layers) == 0 || len(parsed.Layers) > 2 {
			return
		}
		img := &Image{Config: config}
		err = read(img, parsed, [][]byte{first, second}[:len(parsed.Layers)])
		checkRead(t, img, err)
	})
}

// blobsOf returns the config and the layers of the first manifest.
func blobsOf(f *testing.F, made *pulltest.Image) (config []byte, layers [2][]byte) {
	var m ocispec.Manifest
	if err := json.Unmarshal(made.Manifests[0].Bytes, &m); err != nil {
		f.Fatal(err)
	}
	find := func(d ocispec.Descriptor) []byte {
		i := slices.IndexFunc(made.Blobs, func(b pulltest.Blob) bool { return b.Descriptor.Digest == d.Digest })
		return made.Blobs[i].Data
	}
	for i, l := range m.Layers[:min(2, len(m.Layers))] {
		layers[i] = find(l)
	}
	return find(m.Config), layers
}

// checkRead: what was read, or the error, is one a caller can work with.
func checkRead(t *testing.T, img *Image, err error) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, ErrBadImage) && !errors.Is(err, ErrUnknownFormat) && !errors.Is(err, ErrNewer) {
			t.Errorf("another kind of error: %v", err)
		}
		return
	}
	if len(img.Objects) == 0 || !slices.ContainsFunc(recognisers, func(r recogniser) bool { return r.format == img.Format }) {
		t.Errorf("accepted %d objects as %q", len(img.Objects), img.Format)
	}
	names := map[string]bool{}
	for _, o := range img.Objects {
		if names[o.File] || checkFileName(o.File) != nil || o.Digest != digest.FromBytes(o.Bytes).String() {
			t.Errorf("accepted %q", o.File)
		}
		names[o.File] = true
	}
	for _, note := range img.Notes {
		if !printable(note) {
			t.Errorf("note %q", note)
		}
	}
}

func FuzzGadget(f *testing.F)     { fuzzForeign(f, FormatGadget) }
func FuzzBumblebee(f *testing.F)  { fuzzForeign(f, FormatBumblebee) }
func FuzzBpfman(f *testing.F)     { fuzzForeign(f, FormatBpfman, FormatBpfmanOld) }
func FuzzPlainELF(f *testing.F)   { fuzzForeign(f, FormatELF) }
func FuzzPlainImage(f *testing.F) { fuzzForeign(f, FormatPlainImage) }

// FuzzOldFilename feeds the one label of another format that decides what is
// taken.
func FuzzOldFilename(f *testing.F) {
	for _, name := range []string{"", "counter.elf", "../x.o", "/x.o", "a/x.o", "./x.o", ".wh.x.o", "\x1b[2J", strings.Repeat("x", 256)} {
		f.Add(name)
	}
	content := archive(&testing.T{}, file{name: "first.o", content: "1"}, file{name: "./counter.elf", content: "2"}, file{name: "a/x.o", content: "3"})
	f.Fuzz(func(t *testing.T, label string) {
		c := layerOf(content, content, ocispec.MediaTypeImageLayer)
		c.config.labels = map[string]string{schemas.LabelOldFilename: label}
		objects, err := unpackOld(c)
		switch {
		case err != nil && !errors.Is(err, ErrBadImage):
			t.Errorf("another kind of error: %v", err)
		case err == nil && label != "" && (len(objects) != 1 || objects[0].File != label || checkFileName(label) != nil):
			t.Errorf("label %q: took %+v", label, objects)
		}
	})
}

// FuzzDescription feeds the text of the label itself.
func FuzzDescription(f *testing.F) {
	for _, seed := range []string{
		`{"schemaVersion":1,"name":"counter","objects":[{"file":"a.o","programs":[{"name":"p","type":"xdp"}],"maps":[{"name":"m"}]}]}`,
		`{"schemaVersion":9}`, `{"schemaVersion":1,"SchemaVersion":2}`, `{"schemaVersion":1,"objects":[{"file":7}]}`, `[]`, `{}{}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		desc, err := decodeDescription(text)
		switch {
		case err != nil && !errors.Is(err, ErrBadImage) && !errors.Is(err, ErrNewer):
			t.Errorf("another kind of error: %v", err)
		case err == nil && (desc.SchemaVersion < 1 || desc.SchemaVersion > schemas.DescriptionVersion || len(desc.Objects) > maxEntries):
			t.Errorf("accepted version %d, %d objects", desc.SchemaVersion, len(desc.Objects))
		}
	})
}

// FuzzIndex feeds indexes, and chooses from them. What is chosen is an image,
// for that platform or for none.
func FuzzIndex(f *testing.F) {
	for _, fixture := range pulltest.Fixtures {
		made, err := fixture.Make([]byte(elfMagic))
		if err != nil {
			f.Fatal(err)
		}
		if root := made.Manifests[len(made.Manifests)-1]; isIndex(root.Descriptor.MediaType) {
			f.Add(root.Bytes, "linux/arm64")
		}
	}
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"`+ocispec.MediaTypeImageIndex+`","digest":"`+digest.FromString("x").String()+`","size":1}]}`), "linux/arm/v6")
	f.Fuzz(func(t *testing.T, data []byte, platform string) {
		want, err := parsePlatform(platform)
		if err != nil {
			return
		}
		entries, err := parseIndex(image.Manifest{Descriptor: descriptor(ocispec.MediaTypeImageIndex, data), Bytes: data})
		if err != nil {
			if !errors.Is(err, ErrBadImage) {
				t.Errorf("another kind of error: %v", err)
			}
			return
		}
		chosen, err := pick(entries, want)
		var none *PlatformError
		switch p := chosen.Platform; {
		case err != nil && !errors.Is(err, ErrBadImage) && !errors.As(err, &none):
			t.Errorf("another kind of error: %v", err)
		case err != nil:
		case !isImage(chosen.MediaType):
			t.Errorf("chose a %q", chosen.MediaType)
		case p != nil && p.OS+p.Architecture != "" && schemas.NewPlatform(p.OS, p.Architecture, p.Variant) != want:
			t.Errorf("chose %+v for %s", p, want)
		}
	})
}
