// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// part is a layer of an artifact; without a title it has no annotations.
type part struct{ mediaType, title, content string }

func object(title string) part { return part{schemas.MediaTypeObject, title, "content of " + title} }

const someDescription = `{"schemaVersion":1,"name":"counter","objects":[{"file":"a.o"}]}`

// artifact pushes an artifact as v1.
func (k *kit) artifact(config string, parts ...part) ocispec.Descriptor {
	k.t.Helper()
	m := ocispec.Manifest{
		ArtifactType: schemas.ArtifactType,
		Config:       k.blob(schemas.MediaTypeDescription, []byte(config)),
		Annotations:  map[string]string{"note": "hello"},
	}
	for _, p := range parts {
		m.Layers = append(m.Layers, p.layer(k.blob(p.mediaType, []byte(p.content))))
	}
	return k.manifest("v1", m)
}

func (p part) layer(desc ocispec.Descriptor) ocispec.Descriptor {
	if p.title != "" {
		desc.Annotations = map[string]string{ocispec.AnnotationTitle: p.title}
	}
	return desc
}

func TestArtifact(t *testing.T) {
	t.Parallel()
	k := newKit(t, testregistry.Options{})
	root := k.artifact(someDescription, object("b.o"), object("a.o"))
	img := k.mustFetch(Options{})
	if img.Format != FormatArtifact || img.Manifest.Descriptor.Digest != root.Digest || img.Annotations["note"] != "hello" || img.Labels != nil {
		t.Errorf("a %q, %s, annotations %v, labels %v", img.Format, img.Manifest.Descriptor.Digest, img.Annotations, img.Labels)
	}
	if img.Described == nil || img.Described.Name != "counter" || string(img.Config) != someDescription {
		t.Errorf("described as %+v by %s", img.Described, img.Config)
	}
	for i, name := range []string{"b.o", "a.o"} { // load order
		want := "content of " + name
		if o := img.Objects[i]; o.File != name || string(o.Bytes) != want || o.Digest != digest.FromString(want).String() {
			t.Errorf("object %d is %q, %s", i+1, o.File, o.Digest)
		}
	}
}

// TestArtifactMarks: the config alone makes it an artifact; the artifact type is
// that of images too.
func TestArtifactMarks(t *testing.T) {
	t.Parallel()
	k := newKit(t, testregistry.Options{})
	layer := object("a.o").layer(k.blob(schemas.MediaTypeObject, []byte("x")))
	k.manifest("v1", ocispec.Manifest{Config: k.blob(schemas.MediaTypeDescription, []byte(someDescription)), Layers: []ocispec.Descriptor{layer}})
	if img := k.mustFetch(Options{}); img.Format != FormatArtifact {
		t.Errorf("without an artifact type: a %q", img.Format)
	}
	k.manifest("v1", ocispec.Manifest{
		ArtifactType: schemas.ArtifactType, Config: k.blob(emptyConfig, []byte("{}")), Layers: []ocispec.Descriptor{layer},
	})
	if img, err := k.fetch(Options{}); !errors.Is(err, ErrBadImage) {
		t.Errorf("with another config: got %v, %v", img, err)
	}
}

func TestHostileArtifacts(t *testing.T) {
	t.Parallel()
	many := make([]part, maxArtifactLayers+1)
	for i := range many {
		many[i] = object(fmt.Sprint(i, ".o"))
	}
	good := object("a.o")
	named := func(name string) []part { return []part{good, object(name)} }
	for name, row := range map[string]struct {
		config string
		parts  []part
		want   error
		text   string
	}{
		"no layers":              {someDescription, nil, ErrBadImage, "0 layers"},
		"too many layers":        {someDescription, many, ErrBadImage, "65 layers, a bytecode image has 1 to 64"},
		"a layer without a name": {someDescription, named(""), ErrBadImage, "layer 2: bad image: it has no annotation"},
		"a path":                 {someDescription, named("../x.o"), ErrBadImage, "path"},
		"a path elsewhere":       {someDescription, named(`C:\x.o`), ErrBadImage, "path"},
		"dots":                   {someDescription, named(".."), ErrBadImage, "not a file name"},
		"another ending":         {someDescription, named("x.elf"), ErrBadImage, `does not end in ".o"`},
		"a deleted file":         {someDescription, named(".wh.x.o"), ErrBadImage, "deleted"},
		"an escape":              {someDescription, named("\x1b[2Jx.o"), ErrBadImage, `\x1b`},
		"text direction":         {someDescription, named("x\u202e.o"), ErrBadImage, "printed"},
		"a long name":            {someDescription, named(strings.Repeat("x", 254) + ".o"), ErrBadImage, "255 bytes"},
		"a name twice":           {someDescription, named("a.o"), ErrBadImage, "another layer"},
		"a tar layer":            {someDescription, []part{good, {ocispec.MediaTypeImageLayerGzip, "x.o", "x"}}, ErrBadImage, "not the media type"},
		"a strange layer":        {someDescription, []part{good, {"application/\x1b[2J", "x.o", "x"}}, ErrBadImage, `\x1b`},
		"an empty config":        {"", []part{good}, ErrBadImage, "the config, a Description"},
		"a config of nothing":    {"{}", []part{good}, ErrBadImage, "schema version is 0"},
		"a newer config":         {`{"schemaVersion":2}`, []part{good}, ErrNewer, "schema version 2"},
		"a config of two":        {`{"schemaVersion":1}{}`, []part{good}, ErrBadImage, "more follows"},
		"a config with a key twice": {
			`{"schemaVersion":1,"name":"a","name":"b"}`,
			[]part{good},
			ErrBadImage, "twice",
		},
		"a large config": {
			`{"schemaVersion":1,"name":"` + strings.Repeat("x", maxDescription) + `"}`,
			[]part{good},
			ErrBadImage, "at most 1048576",
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, testregistry.Options{})
			k.artifact(row.config, row.parts...)
			_, err := k.fetch(Options{})
			if !errors.Is(err, row.want) || !strings.Contains(fmt.Sprintf("%v", err), row.text) {
				t.Errorf("got %v, want %v with %q", err, row.want, row.text)
			}
		})
	}
	t.Run("layers that are large together", func(t *testing.T) {
		k := newKit(t, testregistry.Options{})
		half := object("a.o").layer(ocispec.Descriptor{MediaType: schemas.MediaTypeObject, Digest: digest.FromString("half"), Size: maxCompressed/2 + 1})
		k.manifest("v1", ocispec.Manifest{
			Config: k.blob(schemas.MediaTypeDescription, []byte(someDescription)), Layers: []ocispec.Descriptor{half, half},
		})
		if _, err := k.fetch(Options{}); !errors.Is(err, image.ErrTooLarge) {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzArtifact feeds a manifest's layers, as JSON, and a config.
func FuzzArtifact(f *testing.F) {
	layers := func(parts ...part) []byte {
		var list []ocispec.Descriptor
		for _, p := range parts {
			list = append(list, p.layer(descriptor(p.mediaType, []byte(p.content))))
		}
		data, err := json.Marshal(list)
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	f.Add(layers(object("a.o"), object("b.o")), []byte(someDescription))
	f.Add(layers(object("a.o"), object("a.o")), []byte(`{"schemaVersion":9}`))
	f.Add(layers(object("../a.o")), []byte(`{"schemaVersion":1,"objects":null}`))
	f.Add(layers(part{ocispec.MediaTypeImageLayerGzip, "a.o", ""}), []byte(`{"schemaVersion":1,"SchemaVersion":2}`))
	f.Fuzz(func(t *testing.T, layers, config []byte) {
		text := fmt.Sprintf(`{"schemaVersion":2,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":%s}`,
			schemas.MediaTypeDescription, digest.FromBytes(config), len(config), layers)
		manifest, err := parseManifest(manifestOf(ocispec.MediaTypeImageManifest, text))
		if err != nil || checkLayers(manifest) != nil {
			return
		}
		img := &Image{Config: config}
		err = read(img, manifest, make([][]byte, len(manifest.Layers)))
		if err != nil {
			if !errors.Is(err, ErrBadImage) && !errors.Is(err, ErrNewer) {
				t.Errorf("another kind of error: %v", err)
			}
			return
		}
		names := map[string]bool{}
		for _, o := range img.Objects {
			if names[o.File] || checkFileName(o.File) != nil || !strings.HasSuffix(o.File, objectSuffix) {
				t.Errorf("accepted %q", o.File)
			}
			names[o.File] = true
		}
		if img.Format == FormatArtifact && (img.Described == nil || len(img.Objects) == 0 || len(img.Objects) > maxArtifactLayers) {
			t.Errorf("a %s with %d objects, described as %v", img.Format, len(img.Objects), img.Described)
		}
	})
}
