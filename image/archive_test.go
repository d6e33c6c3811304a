// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tarEntry is one entry of an archive made for a test.
type tarEntry struct {
	name string
	data string
	kind byte // 0: a regular file
	link string
}

func tarOf(t testing.TB, entries ...tarEntry) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Typeflag: e.kind, Size: int64(len(e.data)), Mode: 0o644, Linkname: e.link}
		if e.kind == 0 {
			header.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.data)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func blobEntry(data []byte) tarEntry {
	return tarEntry{name: "blobs/sha256/" + digest.FromBytes(data).Encoded(), data: string(data)}
}

// layoutEntries are a layout with the images under names, and loose manifests
// that index.json lists without one.
func layoutEntries(t testing.TB, images map[string]testImage, loose ...testImage) []tarEntry {
	t.Helper()
	index := ocispec.Index{Manifests: []ocispec.Descriptor{}}
	index.SchemaVersion = 2
	entries := []tarEntry{{name: "./", kind: tar.TypeDir}, {name: "./oci-layout", data: `{"imageLayoutVersion":"1.0.0"}`}}
	seen := map[string]bool{}
	add := func(im testImage, annotations map[string]string) {
		desc := im.manifest.Descriptor
		desc.Annotations = annotations
		index.Manifests = append(index.Manifests, desc)
		for _, data := range [][]byte{im.config, im.layer, im.manifest.Bytes} {
			if e := blobEntry(data); !seen[e.name] {
				seen[e.name] = true
				entries = append(entries, e)
			}
		}
	}
	for name, im := range images {
		add(im, map[string]string{ocispec.AnnotationRefName: name})
	}
	for _, im := range loose {
		add(im, nil)
	}
	return append(entries, tarEntry{name: "index.json", data: string(encode(t, "", index).Bytes)})
}

func writeFile(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive.tar")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func openTestArchive(t testing.TB, data []byte) Archive {
	t.Helper()
	a, err := OpenArchive(t.Context(), writeFile(t, data))
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

// TestForeignLayouts: referrers are found however the layout lists them.
func TestForeignLayouts(t *testing.T) {
	t.Parallel()
	im := newImage(t, "subject", nil)
	sig := referrerOf(t, im.manifest, "signature")
	subject := mustParse(t, "localhost/x@"+im.manifest.Descriptor.Digest.String())
	fallback := newIndex(t, sig.manifest)
	indexed := testImage{config: sig.config, layer: sig.layer, manifest: fallback}
	tagged := layoutEntries(t, map[string]testImage{"v1": im, fallbackTag(subject).tag: indexed})
	tests := map[string][]byte{
		"an entry without a name": tarOf(t, layoutEntries(t, map[string]testImage{"v1": im}, sig)...),
		"under the fallback tag":  tarOf(t, append(tagged, blobEntry(sig.manifest.Bytes))...),
	}
	for name, data := range tests {
		a := openTestArchive(t, data)
		list, err := a.Referrers(t.Context(), subject)
		if err != nil || len(list) != 1 || list[0].Digest != sig.manifest.Descriptor.Digest || list[0].ArtifactType != "application/vnd.test.signature" {
			t.Errorf("%s: got %v, %v", name, list, err)
		}
		if images := a.Images(); len(images) != 1 || images[0].Name != "v1" || images[0].Full {
			t.Errorf("%s: got images %+v", name, images)
		}
		im.check(t, a, subject)
	}
}

func TestArchiveNames(t *testing.T) {
	t.Parallel()
	one, two := newImage(t, "one", nil), newImage(t, "two", nil)
	lie := "localhost/lie@" + one.manifest.Descriptor.Digest.String()
	a := openTestArchive(t, tarOf(t, layoutEntries(t, map[string]testImage{"busybox:1": one, "some thing": two, lie: two})...))
	tests := []struct {
		name string
		want testImage
		err  error
	}{
		{"busybox:1", one, nil},
		{"docker.io/library/busybox:1", one, nil},
		{"some thing", two, nil},
		{lie, two, nil}, // by its very name; never as a reference
		{"busybox", one, ErrNotFound},
		{"", one, ErrReference},
	}
	for _, tt := range tests {
		im, err := pick(a, "test", tt.name)
		if !errors.Is(err, tt.err) || err == nil && im.Ref.Digest() != tt.want.manifest.Descriptor.Digest.String() {
			t.Errorf("%q: got %+v, %v", tt.name, im, err)
		}
		if tt.name == lie && im.Full {
			t.Error("a name with another image's digest passes for one")
		}
	}
}

// TestHostileArchives: each is refused, and each for its own reason.
func TestHostileArchives(t *testing.T) {
	t.Parallel()
	im := newImage(t, "image", nil)
	good := layoutEntries(t, map[string]testImage{"localhost/a:v1": im})
	with := func(more ...tarEntry) []byte { return tarOf(t, append(good[:len(good):len(good)], more...)...) }
	replaced := func(name, data string) []byte {
		entries := append([]tarEntry{}, good...)
		for i := range entries {
			if strings.TrimPrefix(entries[i].name, "./") == name {
				entries[i].data = data
			}
		}
		return tarOf(t, entries...)
	}
	whole := tarOf(t, good...)
	many := strings.Repeat(`{"mediaType":"x"},`, maxLayoutEntries+1)
	docker := func(list string, more ...tarEntry) []byte {
		return tarOf(t, append(more, tarEntry{name: "manifest.json", data: list})...)
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"dot dot", with(tarEntry{name: "../../etc/passwd", data: "x"}), "leaves the archive"},
		{"dot dot inside", with(tarEntry{name: "blobs/../../x", data: "x"}), "leaves the archive"},
		{"absolute", with(tarEntry{name: "/etc/passwd", data: "x"}), "leaves the archive"},
		{"twice", with(tarEntry{name: "index.json", data: "{}"}), "is there twice"},
		{"twice after cleaning", with(tarEntry{name: "./index.json", data: "{}"}), "is there twice"},
		{"device", with(tarEntry{name: "dev", kind: tar.TypeChar}), "neither file nor folder nor link"},
		{"long name", with(tarEntry{name: strings.Repeat("a/", maxEntryName), kind: tar.TypeDir}), "has a name of over"},
		{"link for a file", tarOf(t, append(good[:len(good)-1:len(good)-1], tarEntry{name: "index.json", kind: tar.TypeSymlink, link: "/etc/passwd"})...), "is a link"},
		{"file after a link", tarOf(t, append([]tarEntry{{name: "index.json", kind: tar.TypeLink, link: "x"}}, good...)...), "is there twice"},
		{"cut off", whole[:len(whole)-1424], "cut off"},
		{"no tar", []byte(strings.Repeat("x", 2048)), "not a tar archive"},
		{"empty", tarOf(t), "neither the file oci-layout"},
		{"another version", replaced("oci-layout", `{"imageLayoutVersion":"2.0.0"}`), "imageLayoutVersion 1.0.0"},
		{"index is no JSON", replaced("index.json", `<html>`), "not an index"},
		{"huge index", replaced("index.json", strings.Repeat(" ", MaxManifest+1)), "over the size limit"},
		{"too many entries in the index", replaced("index.json", `{"manifests":[`+many[:len(many)-1]+`]}`), "entries, at most"},
		{"zstd", []byte("\x28\xb5\x2f\xfd1234"), "compressed with zstd: unpack it first, with `unzstd`"},
		{"xz", []byte("\xfd7zXZ\x001234"), "compressed with xz: unpack it first, with `unxz`"},
		{"bzip2", []byte("BZh91AY"), "compressed with bzip2: unpack it first, with `bunzip2`"},
		{"hard link to what comes later", tarOf(t, append([]tarEntry{{name: "oci-layout", kind: tar.TypeLink, link: "x"}, {name: "x", data: "y"}}, good[2:]...)...), "is a link"},
		{"hard link beside another file", with(tarEntry{name: "x", data: "y"}, tarEntry{name: "index.json", kind: tar.TypeLink, link: "x"}), "is there twice"},
		{"gzip cut off", gzipOf(t, whole)[:50], "uncompressing"},
		{"docker: no JSON", docker(`x`), "malformed"},
		{"docker: too many images", docker("[" + strings.Repeat("{},", maxDockerImages) + "{}]"), "over the size limit"},
		{"docker: too many layers", docker(`[{"Config":"c","Layers":[` + strings.Repeat(`"c",`, maxLayers) + `"c"]}]`), "over the size limit"},
		{"docker: config missing", docker(`[{"Config":"c"}]`), `entry "c": not found`},
		{"docker: config elsewhere", docker(`[{"Config":"../../etc/passwd"}]`), `not found`},
		{"docker: config is a link", docker(`[{"Config":"c"}]`, tarEntry{name: "c", kind: tar.TypeSymlink, link: "/etc/passwd"}), "is a link"},
		{"docker: layer is a link", docker(`[{"Config":"c","Layers":["a/l"]}]`, tarEntry{name: "c", data: "{}"},
			tarEntry{name: "etc/passwd", data: "x"}, tarEntry{name: "a/l", kind: tar.TypeSymlink, link: "/etc/passwd"}), "is a link"},
		{"docker: layer is a link out of it", docker(`[{"Config":"c","Layers":["a/l"]}]`, tarEntry{name: "c", data: "{}"},
			tarEntry{name: "a/l", kind: tar.TypeSymlink, link: "../../c"}), "is a link"},
		{"docker: layer is a link to a link", docker(`[{"Config":"c","Layers":["l"]}]`, tarEntry{name: "c", data: "{}"},
			tarEntry{name: "l", kind: tar.TypeSymlink, link: "m"}, tarEntry{name: "m", kind: tar.TypeSymlink, link: "l"}), "is a link"},
		{"docker: large config", docker(`[{"Config":"c"}]`, tarEntry{name: "c", data: strings.Repeat("x", MaxConfig+1)}), "over the size limit"},
	}
	for _, tt := range tests {
		a, err := OpenArchive(t.Context(), writeFile(t, tt.data))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, %v, want %q", tt.name, a, err, tt.want)
		}
	}
}

// TestGzipBomb: what is unpacked is bounded, and gone when it is refused.
func TestGzipBomb(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for size, want := range map[int]error{1 << 20: nil, 1<<20 + 1: ErrTooLarge} {
		a, err := ungzip(t.Context(), bytes.NewReader(gzipOf(t, make([]byte, size))), "", 1<<20)
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: got %v, want %v", size, err, want)
		}
		if err == nil {
			err = a.Close()
		}
		if left, dirErr := os.ReadDir(os.TempDir()); dirErr != nil || len(left) != 0 || err != nil && want == nil {
			t.Errorf("%d bytes left %v, %v, %v", size, left, dirErr, err)
		}
	}
}

func gzipOf(t testing.TB, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// TestManyEntries counts them before anything else is believed.
func TestManyEntries(t *testing.T) {
	t.Parallel()
	one := tarOf(t, tarEntry{name: "d", kind: tar.TypeDir})[:512]
	data := bytes.Repeat(one, maxArchiveEntries+1)
	if _, err := newTarFiles(t.Context(), bytes.NewReader(data), int64(len(data))); !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if _, err := newTarFiles(t.Context(), bytes.NewReader(nil), maxArchive+1); !errors.Is(err, ErrTooLarge) {
		t.Errorf("large file: got %v, want ErrTooLarge", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newTarFiles(ctx, bytes.NewReader(data), int64(len(data))); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestLayoutDir: a folder from a stranger leads nowhere else.
func TestLayoutDir(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside")
	if err := os.WriteFile(outside, []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(dir, "layout")
	if err := os.Mkdir(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := openLayoutDir(inside); !errors.Is(err, ErrNotFound) {
		t.Errorf("empty folder: got %v, want ErrNotFound", err)
	}
	if err := os.Symlink("../outside", filepath.Join(inside, "oci-layout")); err != nil {
		t.Fatal(err)
	}
	if _, err := openLayoutDir(inside); err == nil || !strings.Contains(err.Error(), "escapes") {
		t.Errorf("link out of the folder: got %v", err)
	}
}

// FuzzArchive opens anything as an archive of either form and copies all that
// it has.
func FuzzArchive(f *testing.F) {
	im := newImage(f, "image", nil)
	sig := referrerOf(f, im.manifest, "signature")
	good := tarOf(f, layoutEntries(f, map[string]testImage{"localhost/a:v1": im}, sig)...)
	f.Add(good)
	f.Add(good[:len(good)-1500])
	f.Add(tarOf(f, tarEntry{name: "c", data: "{}"}, tarEntry{name: "l", data: "x"},
		tarEntry{name: "manifest.json", data: `[{"Config":"c","RepoTags":["a:1"],"Layers":["l","l"]}]`}))
	f.Add(tarOf(f, tarEntry{name: "c", data: "{}"}, tarEntry{name: "a/l", kind: tar.TypeSymlink, link: "../c"},
		tarEntry{name: "manifest.json", data: `[{"Config":"c","Layers":["a/l"]}]`}))
	f.Add(tarOf(f, entriesOf(f, []ocispec.Descriptor{described(im, "kind", cosignImage), described(im, "kind", "dev.cosignproject.cosign/sigs")}, im)...))
	f.Add(tarOf(f, tarEntry{name: "../x", data: "x"}, tarEntry{name: "l", kind: tar.TypeLink, link: "x"}))
	f.Add(tarOf(f, tarEntry{name: "oci-layout", data: `{"imageLayoutVersion":"1.0.0"}`},
		tarEntry{name: "index.json", data: fmt.Sprintf(`{"manifests":[{"mediaType":%q,"digest":%q,"size":-1}]}`, ocispec.MediaTypeImageIndex, someDigest)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		files, err := newTarFiles(t.Context(), bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		for name, s := range files.files {
			if !s.link && (s.offset < 0 || s.size < 0 || s.offset+s.size > int64(len(data))) {
				t.Fatalf("entry %q at %d+%d of %d bytes", name, s.offset, s.size, len(data))
			}
		}
		var archives []Archive
		if l, err := newLayout(files, nil, "fuzz"); err == nil {
			archives = append(archives, l)
		}
		if d, err := newDockerArchive(t.Context(), files, nil, "fuzz"); err == nil {
			archives = append(archives, d)
		}
		for _, a := range archives {
			fuzzCopy(t, a)
		}
	})
}

// fuzzCopy copies what a has into memory; what arrives must be what its digest
// says.
func fuzzCopy(t *testing.T, a Archive) {
	for _, im := range a.Images() {
		if _, err := Copy(t.Context(), checkingSink{t}, im.Ref, a, im.Ref, CopyOptions{Referrers: true}); err != nil {
			continue
		}
		if _, err := Tree(t.Context(), a, im.Ref); err != nil {
			t.Fatalf("it was copied, but there is no tree: %v", err)
		}
	}
}

// checkingSink keeps nothing.
type checkingSink struct{ t *testing.T }

func (c checkingSink) PutBlob(_ context.Context, _ Reference, desc ocispec.Descriptor, data []byte, _ string) error {
	if err := checkContent(data, desc); err != nil {
		c.t.Fatal(err)
	}
	return nil
}

func (c checkingSink) PutManifest(_ context.Context, ref Reference, m Manifest) error {
	if _, err := checkManifest(ref, m); err != nil {
		return err
	}
	if err := checkContent(m.Bytes, m.Descriptor); err != nil {
		c.t.Fatal(err)
	}
	return nil
}
