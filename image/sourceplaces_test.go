// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// place is one implementation of [image.Source], and one way to use it.
type place struct {
	name string
	// typ is the type of what open returns, which [TestEverySourceIsHeldToTheContract]
	// looks for.
	typ string
	// open makes the place with what f has there.
	open func(t *testing.T, f *fixture) image.Source
	// heals: the place has the content twice, one of them good, and finds it.
	heals bool
	// noReferrers: it cannot hold any.
	noReferrers bool
	// cannot are damages and items that it cannot have, with the reason.
	cannot map[string]string
}

// places are all implementations.
var places = []place{
	{name: "registry", typ: "*image.Registry", open: func(t *testing.T, f *fixture) image.Source { return registryOf(t, f, true) }},
	{name: "old registry", typ: "*image.Registry", open: func(t *testing.T, f *fixture) image.Source { return registryOf(t, f, false) }},
	{name: "local store", typ: "*image.Store", open: func(t *testing.T, f *fixture) image.Source { return storeOf(t, f) }},
	{name: "oci", typ: "*image.layout", open: func(t *testing.T, f *fixture) image.Source { return archiveAt(t, "oci:"+layoutDir(t, f)) }},
	{name: "oci-archive", typ: "*image.layout", open: func(t *testing.T, f *fixture) image.Source {
		return archiveAt(t, "oci-archive:"+writeTar(t, layoutOf(t, f)))
	}},
	{name: "oci that is written to", typ: "*image.layoutWriter", open: layoutWriterOf},
	{name: "archive that is written to", typ: "*image.ArchiveWriter", open: archiveWriterOf},
	{name: "docker-archive", typ: "*image.dockerArchive", open: dockerArchiveOf, noReferrers: true, cannot: map[string]string{
		"manifest":    "it has none, and makes one when it is opened",
		"a byte more": "where a file ends in it was read when it was opened",
	}},
	{name: "attached elsewhere", typ: "*image.AttachedElsewhere", open: func(t *testing.T, f *fixture) image.Source {
		a, err := image.NewAttachedElsewhere(registryOf(t, f, true), "localhost:5000/a")
		if err != nil {
			t.Fatal(err)
		}
		return a
	}},
	{name: "what build makes", typ: "*image.inMemory", open: inMemoryOf, noReferrers: true},
	{name: "Memo", typ: "*pull.Memo", open: func(t *testing.T, f *fixture) image.Source { return pull.NewMemo(registryOf(t, f, true)) }},
	{name: "Cached", typ: "*pull.Cached", open: func(t *testing.T, f *fixture) image.Source {
		return &pull.Cached{Local: storeOf(t, f), Remote: registryOf(t, f, true)}
	}},
	{name: "Cached, nothing there", typ: "*pull.Cached", open: func(t *testing.T, f *fixture) image.Source {
		return &pull.Cached{Local: emptyStore(t), Remote: registryOf(t, f, true)}
	}},
	{name: "Cached, offline", typ: "*pull.Cached", open: func(t *testing.T, f *fixture) image.Source {
		return &pull.Cached{Local: storeOf(t, f), Remote: registryOf(t, f.healthy(), true), Offline: true}
	}},
	{name: "Cached, only the store damaged", typ: "*pull.Cached", heals: true, open: func(t *testing.T, f *fixture) image.Source {
		return &pull.Cached{Local: storeOf(t, f), Remote: registryOf(t, f.healthy(), true)}
	}},
	{name: "Share", typ: "*image.sharedSource", open: func(t *testing.T, f *fixture) image.Source {
		return emptyStore(t).Share(registryOf(t, f, true), image.ShareOptions{})
	}},
	{name: "Share of one that checks nothing", typ: "*image.sharedSource", open: func(t *testing.T, f *fixture) image.Source {
		return emptyStore(t).Share(credulous{registryOf(t, f.healthy(), true), f}, image.ShareOptions{})
	}},
	{name: "Share, only the store damaged", typ: "*image.sharedSource", heals: true, open: func(t *testing.T, f *fixture) image.Source {
		return storeOf(t, f).Share(registryOf(t, f.healthy(), true), image.ShareOptions{})
	}},
	{name: "Share, only what is handed on damaged", typ: "*image.sharedSource", heals: true, open: func(t *testing.T, f *fixture) image.Source {
		dir, handed := t.TempDir(), map[string][]byte{}
		for _, it := range f.items() {
			handed["tmp/sha256-"+it.desc.Digest.Encoded()] = it.there
		}
		writeFiles(t, dir, handed)
		return mustStore(t, dir).Share(registryOf(t, f.healthy(), true), image.ShareOptions{})
	}},
}

func mustStore(t *testing.T, dir string) *image.Store {
	t.Helper()
	s, err := image.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func emptyStore(t *testing.T) *image.Store { return mustStore(t, filepath.Join(t.TempDir(), "store")) }

func storeOf(t *testing.T, f *fixture) *image.Store { return mustStore(t, layoutDir(t, f)) }

func archiveAt(t *testing.T, location string) image.Archive {
	t.Helper()
	l, err := image.ParseLocation(location)
	if err != nil {
		t.Fatal(err)
	}
	a, err := image.OpenLocation(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// layoutWriterOf opens a layout for writing, which reads what is there.
func layoutWriterOf(t *testing.T, f *fixture) image.Source {
	l, err := image.ParseLocation("oci:" + layoutDir(t, f) + ":" + name)
	if err != nil {
		t.Fatal(err)
	}
	target, err := image.Places{}.Target(l)
	if err != nil {
		t.Fatal(err)
	}
	return target.Sink.(image.Source)
}

// archiveWriterOf puts the image where an archive is collected.
func archiveWriterOf(t *testing.T, f *fixture) image.Source {
	dir := t.TempDir()
	w, err := image.NewArchiveWriter(filepath.Join(dir, "archive.tar"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	folders, err := filepath.Glob(filepath.Join(dir, ".bpfimg-*"))
	if err != nil || len(folders) != 1 {
		t.Fatal(folders, err)
	}
	writeFiles(t, filepath.Join(folders[0], "layout"), layoutOf(t, f))
	return w
}

// dockerArchiveOf hashes what is in the file when it is opened: it is damaged after
// that. The manifest of f becomes the one that the archive makes.
func dockerArchiveOf(t *testing.T, f *fixture) image.Source {
	list := fmt.Sprintf(`[{"Config":"config.json","RepoTags":[%q],"Layers":["layer.tar"]}]`, name)
	path := writeTar(t, map[string][]byte{"manifest.json": []byte(list), "config.json": f.config.good, "layer.tar": f.layer.good})
	a := archiveAt(t, "docker-archive:"+path)
	m, err := a.Manifest(t.Context(), a.Images()[0].Ref)
	if err != nil {
		t.Fatal(err)
	}
	f.manifest = item{desc: m.Descriptor, good: bytes.Clone(m.Bytes), there: m.Bytes}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range []item{f.config, f.layer} {
		if bytes.Equal(it.there, it.good) {
			continue
		}
		at := bytes.Index(data, it.good)
		if copy(data[at:], it.there); len(it.there) < len(it.good) {
			data = data[:at+len(it.there)] // the file ends in the middle of it
		}
		if err := os.WriteFile(path, data, 0o600); err != nil { // the same file, which is open
			t.Fatal(err)
		}
	}
	return a
}

// inMemoryOf is what build copies to where it is to be stored.
func inMemoryOf(_ *testing.T, f *fixture) image.Source {
	return image.InMemory(image.Manifest{Descriptor: f.manifest.desc, Bytes: f.manifest.there}, nil,
		map[digest.Digest][]byte{f.config.desc.Digest: f.config.there, f.layer.desc.Digest: f.layer.there})
}

// credulous does what no source may: it returns what f has, unchecked, and asks its
// good source for what is not damaged there.
type credulous struct {
	image.Source
	f *fixture
}

func (c credulous) Manifest(ctx context.Context, ref image.Reference) (image.Manifest, error) {
	m, err := c.Source.Manifest(ctx, ref)
	for _, it := range c.f.items() {
		if err == nil && it.desc.Digest == m.Descriptor.Digest && !bytes.Equal(it.there, it.good) {
			m.Bytes = it.there
			m.Descriptor.Digest, m.Descriptor.Size = digest.FromBytes(it.there), int64(len(it.there))
		}
	}
	return m, err
}

func (c credulous) Blob(ctx context.Context, ref image.Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	data, err := c.Source.Blob(ctx, ref, desc, limit)
	for _, it := range c.f.items() {
		if err == nil && it.desc.Digest == desc.Digest {
			data = it.there
		}
	}
	return data, err
}
