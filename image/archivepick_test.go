// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// entriesOf is a layout whose index.json lists manifests as they are, with the blobs
// of images beside them.
func entriesOf(t testing.TB, list []ocispec.Descriptor, images ...testImage) []tarEntry {
	t.Helper()
	index, err := json.Marshal(ocispec.Index{Manifests: list})
	if err != nil {
		t.Fatal(err)
	}
	entries := []tarEntry{{name: "oci-layout", data: `{"imageLayoutVersion":"1.0.0"}`}, {name: "index.json", data: string(index)}}
	seen := map[string]bool{}
	for _, im := range images {
		for _, data := range [][]byte{im.config, im.layer, im.manifest.Bytes} {
			if e := blobEntry(data); !seen[e.name] {
				seen[e.name] = true
				entries = append(entries, e)
			}
		}
	}
	return entries
}

func described(im testImage, annotations ...string) ocispec.Descriptor {
	desc := im.manifest.Descriptor
	for i := 0; i < len(annotations); i += 2 {
		if desc.Annotations == nil {
			desc.Annotations = map[string]string{}
		}
		desc.Annotations[annotations[i]] = annotations[i+1]
	}
	return desc
}

// TestUnnamedImages: those without a name are selected by digest or by place, and
// the error that there are several says how.
func TestUnnamedImages(t *testing.T) {
	t.Parallel()
	one, two, inIndex := newImage(t, "one", nil), newImage(t, "two", nil), newImage(t, "in an index", nil)
	index := newIndex(t, inIndex.manifest)
	other := ocispec.Descriptor{MediaType: "application/json", Digest: one.manifest.Descriptor.Digest, Size: 1} // keeps its place
	entries := entriesOf(t, []ocispec.Descriptor{described(one), other, described(two), described(testImage{manifest: index}, ocispec.AnnotationRefName, "v1"), described(inIndex)}, one, two, inIndex)
	a := openTestArchive(t, tarOf(t, append(entries, blobEntry(index.Bytes))...))
	digestOf := func(m Manifest) string { return m.Descriptor.Digest.String() }
	tests := []struct {
		name, want string
		err        error
	}{
		{"@0", digestOf(one.manifest), nil},
		{"@2", digestOf(two.manifest), nil},
		{"@1", "", ErrNotFound},
		{"@9", "", ErrNotFound},
		{"@" + digestOf(two.manifest), digestOf(two.manifest), nil},
		{"@" + digestOf(inIndex.manifest), digestOf(inIndex.manifest), nil},
		{"@" + someDigest, "", ErrNotFound},
		{"@latest", "", ErrReference},
		{"v1", digestOf(index), nil},
		{"v1@" + digestOf(index), digestOf(index), nil},
		{"v1@" + digestOf(one.manifest), "", ErrNotFound},
		{"", "", ErrReference},
	}
	for _, tt := range tests {
		im, err := choose(t.Context(), a, "oci:dir", tt.name)
		if !errors.Is(err, tt.err) || err == nil && im.Ref.Digest() != tt.want {
			t.Errorf("%q: got %+v, %v", tt.name, im, err)
		}
	}
	_, err := choose(t.Context(), a, "oci:dir", "")
	for _, want := range []string{digestOf(one.manifest), digestOf(two.manifest), digestOf(index), "@2", `"v1"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error %q does not say %s", err, want)
		}
	}
	if strings.Contains(err.Error(), digestOf(inIndex.manifest)) {
		t.Errorf("%q lists an image of the index", err)
	}
	if _, err := newLayoutWriter(t.TempDir(), "@0"); !errors.Is(err, ErrReference) {
		t.Errorf("writing to a place: got %v", err)
	}
}

// TestPinnedName: a name with a digest is the image of that digest, or none.
func TestPinnedName(t *testing.T) {
	t.Parallel()
	im := newImage(t, "one", nil)
	a := openTestArchive(t, tarOf(t, layoutEntries(t, map[string]testImage{"localhost/a:v1": im})...))
	if _, err := pick(a, "x", "localhost/a:v1@"+im.manifest.Descriptor.Digest.String()); err != nil {
		t.Error(err)
	}
	if im, err := pick(a, "x", "localhost/a:v1@"+someDigest); !errors.Is(err, ErrNotFound) {
		t.Errorf("another digest: got %+v, %v", im, err)
	}
}

// TestCosignSave reads a folder as `cosign save --dir` writes it, version 2 and 3:
// index.json says by annotations what is what, and bundles are not listed.
func TestCosignSave(t *testing.T) {
	t.Parallel()
	im, sigs, atts := newImage(t, "image", nil), newImage(t, "signatures", nil), newImage(t, "attestations", nil)
	bundle := referrerOf(t, im.manifest, "bundle")
	const kind = "dev.cosignproject.cosign/"
	list := []ocispec.Descriptor{described(im, "kind", kind+"image"), described(sigs, "kind", kind+"sigs"), described(atts, "kind", kind+"atts")}
	entries := entriesOf(t, list, im, sigs, atts, bundle)
	dir := t.TempDir()
	for _, e := range entries {
		path := filepath.Join(dir, filepath.FromSlash(e.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(e.data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := openLayoutDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = folder.Close() })
	for name, a := range map[string]Archive{"folder": folder, "archive": openTestArchive(t, tarOf(t, entries...))} {
		got, err := choose(t.Context(), a, "oci:dir", "")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		s := newStore(t)
		ref := mustParse(t, "localhost/x:v1")
		if _, err := Copy(t.Context(), s, ref, a, got.Ref, CopyOptions{Referrers: true}); err != nil {
			t.Fatal(err)
		}
		im.check(t, s, ref)
		tag := fallbackTag(ref.WithDigest(im.manifest.Descriptor.Digest.String()))
		sigs.check(t, s, tag.withSuffix(".sig"))
		atts.check(t, s, tag.withSuffix(".att"))
		refs, err := s.Referrers(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String()))
		if err != nil || len(refs) != 1 || refs[0].Digest != bundle.manifest.Descriptor.Digest {
			t.Errorf("%s: referrers %v, %v", name, refs, err)
		}
		other := fallbackTag(ref.WithDigest(someDigest)).withSuffix(".sig")
		if _, err := a.Manifest(t.Context(), other); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: signatures of another image: got %v", name, err)
		}
	}
}

// TestOrasBackup reads a layout as `oras backup --include-referrers` writes it:
// every manifest is listed, and only images have a name.
func TestOrasBackup(t *testing.T) {
	t.Parallel()
	one, two := newImage(t, "one", nil), newImage(t, "two", nil)
	index := newIndex(t, one.manifest, two.manifest)
	ofIndex, ofImage := referrerOf(t, index, "signature"), referrerOf(t, one.manifest, "sbom")
	list := []ocispec.Descriptor{described(one), described(two), described(testImage{manifest: index}, ocispec.AnnotationRefName, "v1"), described(ofIndex), described(ofImage)}
	a := openTestArchive(t, tarOf(t, append(entriesOf(t, list, one, two, ofIndex, ofImage), blobEntry(index.Bytes))...))
	got, err := choose(t.Context(), a, "oci-archive:a.tar", "")
	if err != nil || got.Name != "v1" || got.Ref.Digest() != index.Descriptor.Digest.String() {
		t.Fatalf("got %+v, %v", got, err)
	}
	for subject, want := range map[string]testImage{index.Descriptor.Digest.String(): ofIndex, one.manifest.Descriptor.Digest.String(): ofImage} {
		refs, err := a.Referrers(t.Context(), standIn.WithDigest(subject))
		if err != nil || len(refs) != 1 || refs[0].Digest != want.manifest.Descriptor.Digest {
			t.Errorf("referrers %v, %v", refs, err)
		}
	}
}

// TestHardLinks: tar writes a file that it has written before as a hard link.
func TestHardLinks(t *testing.T) {
	t.Parallel()
	im := newImage(t, "image", nil)
	docker := tarOf(t, tarEntry{name: "./c.json", data: string(im.config)}, tarEntry{name: "./l.tar", data: string(im.layer)},
		tarEntry{name: "./a/layer.tar", kind: tar.TypeLink, link: "./l.tar"}, tarEntry{name: "b.json", kind: tar.TypeLink, link: "c.json"},
		tarEntry{name: "manifest.json", data: `[{"Config":"b.json","RepoTags":["localhost/a:v1"],"Layers":["a/layer.tar"]}]`})
	layoutTar := entriesOf(t, []ocispec.Descriptor{described(im, ocispec.AnnotationRefName, "localhost/a:v1")}, im)
	first := layoutTar[2]
	first.name, layoutTar[2] = "first", tarEntry{name: first.name, kind: tar.TypeLink, link: "first"}
	for name, data := range map[string][]byte{"docker": docker, "layout": tarOf(t, append([]tarEntry{first}, layoutTar...)...)} {
		a := openTestArchive(t, data)
		s := newStore(t)
		if _, err := Copy(t.Context(), s, mustParse(t, "localhost/b:v1"), a, a.Images()[0].Ref, CopyOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDocker25 reads what docker 25.0.0 wrote: a layout whose manifests have no
// layers, or which lists no image, beside a right list of docker's own.
func TestDocker25(t *testing.T) {
	t.Parallel()
	im := newImage(t, "image", nil)
	bare := encode(t, ocispec.MediaTypeImageManifest, ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: describe(ocispec.MediaTypeImageConfig, im.config), Layers: []ocispec.Descriptor{}})
	broken := testImage{config: im.config, layer: im.layer, manifest: bare}
	list := func(layers string) tarEntry {
		return tarEntry{name: "manifest.json", data: fmt.Sprintf(`[{"Config":%q,"RepoTags":["localhost/a:v1"],"Layers":[%s]}]`, blobEntry(im.config).name, layers)}
	}
	layer := fmt.Sprintf("%q", blobEntry(im.layer).name)
	named := []string{ocispec.AnnotationRefName, "localhost/a:v1"}
	tests := []struct {
		name    string
		entries []tarEntry
		docker  bool
	}{
		{"no layers", append(entriesOf(t, []ocispec.Descriptor{described(broken, named...)}, broken), list(layer)), true},
		{"no images", append(entriesOf(t, nil, broken), list(layer)), true},
		{"right", append(entriesOf(t, []ocispec.Descriptor{described(im, named...)}, im), list(layer)), false},
		{"no layers in either", append(entriesOf(t, []ocispec.Descriptor{described(broken, named...)}, broken), list("")), false},
		{"a list that is none", append(entriesOf(t, []ocispec.Descriptor{described(broken, named...)}, broken), tarEntry{name: "manifest.json", data: "x"}), false},
	}
	for _, tt := range tests {
		a := openTestArchive(t, tarOf(t, tt.entries...))
		if a.KeepsDigests() == tt.docker {
			t.Errorf("%s: read by manifest.json: %v, want %v", tt.name, !a.KeepsDigests(), tt.docker)
			continue
		}
		m, err := a.Manifest(t.Context(), a.Images()[0].Ref)
		blobs, blobsErr := blobsOf(m)
		if err != nil || blobsErr != nil || tt.docker && len(blobs) != 2 {
			t.Errorf("%s: got %+v, %v, %v", tt.name, blobs, err, blobsErr)
		}
	}
}

// TestReadArchive: what comes from a pipe is kept under the limits of files, and
// nothing is left of it.
func TestReadArchive(t *testing.T) {
	t.Parallel()
	im := newImage(t, "image", nil)
	plain := tarOf(t, layoutEntries(t, map[string]testImage{"localhost/a:v1": im})...)
	dir := t.TempDir()
	for name, data := range map[string][]byte{"plain": plain, "gzip": gzipOf(t, plain)} {
		a, err := ReadArchive(t.Context(), bytes.NewReader(data), dir, "standard input")
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		im.check(t, a, a.Images()[0].Ref)
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	for want, data := range map[string]string{"it is empty": "", "not a tar": strings.Repeat("x", 2048), "compressed with xz": "\xfd7zXZ\x00"} {
		if _, err := ReadArchive(t.Context(), strings.NewReader(data), dir, "standard input"); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "standard input") {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := spool(t.Context(), strings.NewReader("12345"), dir, 4); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: got %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
