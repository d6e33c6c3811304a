// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// item is a manifest or blob: what it should be, and what is really there.
type item struct {
	desc ocispec.Descriptor
	good []byte
	// there is what a place has under the digest of good: the same, or damaged.
	there []byte
}

// padding is in every item, at a place where a changed letter leaves JSON valid.
const padding = "padding"

// name is the image's at every place.
const name = "localhost:5000/a:v1"

// fixture is an image of one layer, and a manifest that refers to it.
type fixture struct {
	config, layer, manifest, referrer item
}

func newItem(mediaType string, data []byte) item {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	return item{desc: desc, good: data, there: data}
}

// newManifestItem ends the document in two line breaks, so that it is a valid one
// when the last of them is missing or there is another.
func newManifestItem(t *testing.T, m ocispec.Manifest) item {
	t.Helper()
	m.Versioned = specs.Versioned{SchemaVersion: 2}
	m.MediaType = ocispec.MediaTypeImageManifest
	m.Annotations = map[string]string{"x": padding}
	data, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return newItem(m.MediaType, append(data, "\n\n"...))
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{
		config: newItem(ocispec.MediaTypeImageConfig, []byte(`{"os":"linux","author":"`+padding+`"}`)),
		layer:  newItem(ocispec.MediaTypeImageLayer, []byte("a layer with "+padding+" in it")),
	}
	f.manifest = newManifestItem(t, ocispec.Manifest{Config: f.config.desc, Layers: []ocispec.Descriptor{f.layer.desc}})
	f.referrer = newManifestItem(t, ocispec.Manifest{
		Config: f.config.desc, Layers: []ocispec.Descriptor{f.layer.desc}, ArtifactType: "application/vnd.test", Subject: &f.manifest.desc,
	})
	return f
}

// items by the names that rows of the test have.
func (f *fixture) items() map[string]*item {
	return map[string]*item{"config": &f.config, "layer": &f.layer, "manifest": &f.manifest, "referrer": &f.referrer}
}

// healthy is the same image without any damage.
func (f *fixture) healthy() *fixture {
	whole := *f
	for _, it := range whole.items() {
		it.there = it.good
	}
	return &whole
}

// damages are what can be wrong with an item.
var damages = map[string]func(good []byte) []byte{
	"one bit flipped": func(good []byte) []byte {
		data := bytes.Clone(good)
		data[bytes.Index(data, []byte(padding))] ^= 1
		return data
	},
	"a byte missing":   func(good []byte) []byte { return good[:len(good)-1] },
	"a byte more":      func(good []byte) []byte { return append(bytes.Clone(good), '\n') },
	"nothing at all":   func([]byte) []byte { return nil },
	"another manifest": func([]byte) []byte { return []byte(`{"config":{},"annotations":{"x":"another"}}`) },
}

func mustReference(t *testing.T, s string) image.Reference {
	t.Helper()
	ref, err := image.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// registryOf serves the image as repository a, and the referrer by the API or by the
// fallback tag.
func registryOf(t *testing.T, f *fixture, hasAPI bool) *image.Registry {
	t.Helper()
	var list ocispec.Index
	list.MediaType, list.Manifests = ocispec.MediaTypeImageIndex, []ocispec.Descriptor{f.referrer.desc}
	index, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	subject := f.manifest.desc.Digest
	content := map[string]item{"manifests/v1": f.manifest}
	if hasAPI {
		none, _ := json.Marshal(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}})
		content["referrers/"+nobodysDigest.String()] = newItem(ocispec.MediaTypeImageIndex, none)
		content["referrers/"+subject.String()] = newItem(ocispec.MediaTypeImageIndex, index)
	} else {
		content["manifests/"+strings.Replace(subject.String(), ":", "-", 1)] = newItem(ocispec.MediaTypeImageIndex, index)
	}
	for _, it := range []item{f.manifest, f.referrer} {
		content["manifests/"+it.desc.Digest.String()] = it
	}
	for _, it := range []item{f.config, f.layer} {
		content["blobs/"+it.desc.Digest.String()] = it
	}
	return clientOf(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		it, ok := content[strings.TrimPrefix(req.URL.Path, "/v2/a/")]
		switch {
		case req.URL.Path == "/v2/":
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		default:
			w.Header().Set("Content-Type", it.desc.MediaType)
			w.Header().Set("Docker-Content-Digest", it.desc.Digest.String())
			_, _ = w.Write(it.there) // in memory
		}
	}))
}

func clientOf(t *testing.T, h http.Handler) *image.Registry {
	t.Helper()
	r, err := image.NewRegistry(image.RegistryOptions{
		Transport: testregistry.InProcess(h), Keychain: authn.NewMultiKeychain(), Retry: image.Retry{Attempts: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// layoutOf are the files of an image layout with the image: as others write them,
// and as the local store does, which notes whose referrer the referrer is.
func layoutOf(t *testing.T, f *fixture) map[string][]byte {
	t.Helper()
	root, referrer := f.manifest.desc, f.referrer.desc
	root.Annotations = map[string]string{ocispec.AnnotationRefName: name}
	referrer.Annotations = map[string]string{"dev.bpfimg.referrer.subject": f.manifest.desc.Digest.String()}
	index, err := json.Marshal(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{root, referrer},
	})
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`), "index.json": index}
	for _, it := range f.items() {
		files["blobs/sha256/"+it.desc.Digest.Encoded()] = it.there
	}
	return files
}

func writeFiles(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, data := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// layoutDir is a folder with the image.
func layoutDir(t *testing.T, f *fixture) string {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, layoutOf(t, f))
	return dir
}

func writeTar(t *testing.T, files map[string][]byte) (path string) {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, data := range files {
		if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Size: int64(len(data)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "archive.tar")
	if err := os.WriteFile(path, buf.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
