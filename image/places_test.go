// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func mustLocate(t testing.TB, s string) Location {
	t.Helper()
	l, err := ParseLocation(s)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestParseLocation(t *testing.T) {
	t.Parallel()
	longDigest := "sha512:" + strings.Repeat("0", 128)
	tests := []struct{ in, transport, path, name, text string }{
		{"docker://localhost:5000/a:v1", TransportRegistry, "", "", "localhost:5000/a:v1"},
		{"localhost:5000/a", TransportRegistry, "", "", "localhost:5000/a:latest"},
		{"oci", TransportRegistry, "", "", "docker.io/library/oci:latest"},
		{"store:localhost/a:v1", TransportStore, "", "", "store:localhost/a:v1"},
		{"oci:dir", TransportLayout, "dir", "", "oci:dir"},
		{"oci:./a/../dir:v1", TransportLayout, "dir", "v1", "oci:dir:v1"},
		{"oci:dir:localhost:5000/a:v1", TransportLayout, "dir", "localhost:5000/a:v1", "oci:dir:localhost:5000/a:v1"},
		{"oci-archive:a.tar", TransportLayoutArchive, "a.tar", "", "oci-archive:a.tar"},
		{"docker-archive:a.tar:busybox", TransportDockerArchive, "a.tar", "busybox", "docker-archive:a.tar:busybox"},
		{"oci:dir@" + someDigest, TransportLayout, "dir", "@" + someDigest, "oci:dir@" + someDigest},
		{"oci:dir:@" + someDigest, TransportLayout, "dir", "@" + someDigest, "oci:dir@" + someDigest},
		{"oci:dir:v1@" + someDigest, TransportLayout, "dir", "v1@" + someDigest, "oci:dir:v1@" + someDigest},
		{"oci:dir@" + longDigest, TransportLayout, "dir", "@" + longDigest, "oci:dir@" + longDigest},
		{"oci-archive:d@x/a.tar:v1@" + longDigest, TransportLayoutArchive, "d@x/a.tar", "v1@" + longDigest, "oci-archive:d@x/a.tar:v1@" + longDigest},
		{"oci-archive:d@x/a.tar:@1", TransportLayoutArchive, "d@x/a.tar", "@1", "oci-archive:d@x/a.tar:@1"},
		{"oci://localhost:5000/charts/a:v1", TransportRegistry, "", "", "localhost:5000/charts/a:v1"},
		{"oci://ghcr.io/a/b", TransportRegistry, "", "", "ghcr.io/a/b:latest"},
		{"oci:///abs/dir:v1", TransportLayout, "/abs/dir", "v1", "oci:/abs/dir:v1"},
	}
	for _, tt := range tests {
		l, err := ParseLocation(tt.in)
		if err != nil || l.Transport != tt.transport || l.Path != tt.path || l.Name != tt.name || l.String() != tt.text {
			t.Errorf("%s: got %+v (%s), %v", tt.in, l, l, err)
		}
	}
	for _, bad := range []string{"", "oci:", "oci::v1", "oci:dir:", "store:", "docker://", "docker://UPPER", "dir:x", "containers-storage:x", "docker-daemon:a", "https://ghcr.io/a/b", "http://localhost/a", "ocidir://d", "oci://UPPER/a", "oci://", "oci:d:" + strings.Repeat("x", 1000)} {
		if l, err := ParseLocation(bad); !errors.Is(err, ErrReference) {
			t.Errorf("%q: got %+v, %v, want ErrReference", bad, l, err)
		}
	}
	if path, name := cutPath(`C:\images:v1`, true); path != `C:\images` || name != "v1" {
		t.Errorf("with drives: got %q, %q", path, name)
	}
}

// TestCopyThroughEveryPlace sends an index with all that is attached to it
// through each place that can hold it, and back into a registry.
func TestCopyThroughEveryPlace(t *testing.T) {
	t.Parallel()
	host, _ := newRegistryServer(t, true)
	old, _ := newRegistryServer(t, false)
	p := Places{Registry: testClient(t, RegistryOptions{}), Store: newStore(t)}
	src := mustParse(t, host+"/src:v1")
	index, children, attached := putIndex(t, p.Registry, src)
	sbom := newImage(t, "sbom", nil)
	sbom.put(t, p.Registry, fallbackTag(src.WithDigest(children[0].manifest.Descriptor.Digest.String())).withSuffix(".sbom"))
	dir := t.TempDir()
	places := []string{
		host + "/other/repo:v2",
		old + "/old:v3",
		"store:localhost/kept:v4",
		"oci:" + dir + "/plain:v5",
		"oci:" + dir + "/unnamed",
		"oci:" + dir + "/full:localhost:5000/full/name:v6",
		"oci-archive:" + dir + "/one.tar:v7",
		"oci-archive:" + dir + "/unnamed.tar",
		"oci-archive:" + dir + "/full.tar:example.com/full:v8",
	}
	from := src.String()
	for _, at := range places {
		for range 2 { // the second time all is there
			moveImage(t, p, from, at)
		}
		back := host + "/back" + digest.FromString(at).Encoded()[:8] + ":v9"
		moveImage(t, p, at, back)
		backRef := mustParse(t, back)
		checkArrived(t, p.Registry, backRef, index, children, attached)
		sbom.check(t, p.Registry, fallbackTag(backRef.WithDigest(children[0].manifest.Descriptor.Digest.String())).withSuffix(".sbom"))
		from = at // a chain: each place passes on what it got
	}
}

func moveImage(t *testing.T, p Places, from, to string) {
	t.Helper()
	origin, err := p.Origin(t.Context(), mustLocate(t, from))
	if err != nil {
		t.Fatal(err)
	}
	target, err := p.Target(mustLocate(t, to))
	if err != nil {
		t.Fatal(err)
	}
	report := func(e Event) {
		if e.State == EventSkipped {
			t.Errorf("%s to %s skipped %s: %v", from, to, e.Descriptor.Digest, e.Err)
		}
	}
	if _, err := Copy(t.Context(), target.Sink, target.Ref, origin.Source, origin.Ref, CopyOptions{Referrers: true, Progress: report}); err != nil {
		t.Fatalf("%s to %s: %v", from, to, err)
	}
	if err := errors.Join(target.Commit(t.Context()), target.Close(), origin.Close()); err != nil {
		t.Fatalf("%s to %s: %v", from, to, err)
	}
}

func checkArrived(t *testing.T, src Source, ref Reference, index Manifest, children, attached []testImage) {
	t.Helper()
	if m, err := src.Manifest(t.Context(), ref); err != nil || m.Descriptor.Digest != index.Descriptor.Digest {
		t.Errorf("%s: got %s, %v, want %s", ref, m.Descriptor.Digest, err, index.Descriptor.Digest)
	}
	for _, im := range slices.Concat(children, attached) {
		im.check(t, src, ref.WithDigest(im.manifest.Descriptor.Digest.String()))
	}
	subjects := []digest.Digest{index.Descriptor.Digest, children[1].manifest.Descriptor.Digest, attached[0].manifest.Descriptor.Digest}
	for i, subject := range subjects {
		list, err := src.Referrers(t.Context(), ref.WithDigest(subject.String()))
		if err != nil || len(list) != 1 || list[0].Digest != attached[i].manifest.Descriptor.Digest {
			t.Errorf("referrers of %s: got %v, %v", subject, list, err)
		}
	}
	newImage(t, "legacy", nil).check(t, src, fallbackTag(ref.WithDigest(index.Descriptor.Digest.String())).withSuffix(".sig"))
}

// TestArchiveIsReproducible: the bytes depend on the content alone, and what is
// gathered on the way is gone afterwards.
func TestArchiveIsReproducible(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	putIndex(t, s, ref)
	dir := t.TempDir()
	var files [][]byte
	for range 2 {
		path := filepath.Join(dir, "save.tar")
		w, err := NewArchiveWriter(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Copy(t.Context(), w, ref, s, ref, CopyOptions{Referrers: true}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(w.Commit(t.Context()), w.Close()); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
	}
	if string(files[0]) != string(files[1]) {
		t.Error("two archives of one image differ")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestLayoutOfOthers: an image that is added to a layout of another tool takes away
// nothing but its own name.
func TestLayoutOfOthers(t *testing.T) {
	t.Parallel()
	dir, store := t.TempDir(), newStore(t)
	foreign := func(name string) ocispec.Descriptor {
		return ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.Digest("sha384:" + strings.Repeat("ab", 48)), Size: 5,
			Annotations: map[string]string{ocispec.AnnotationRefName: name},
		}
	}
	data, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{foreign("theirs"), foreign("v1"), foreign("")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"index.json": data, "oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	im, ref := newImage(t, "image", nil), mustParse(t, "localhost/a:v1")
	im.put(t, store, ref)
	target, err := Places{Store: store}.Target(Location{Transport: TransportLayout, Path: dir, Name: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), target.Sink, target.Ref, store, ref, CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	data, err = os.ReadFile(filepath.Join(dir, "index.json"))
	var index ocispec.Index
	if err = errors.Join(err, json.Unmarshal(data, &index)); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range index.Manifests {
		names = append(names, entry.Digest.Algorithm().String()+":"+entry.Annotations[ocispec.AnnotationRefName])
	}
	if want := []string{"sha256:v1", "sha384:", "sha384:theirs"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func TestTargetRefuses(t *testing.T) {
	t.Parallel()
	p := Places{Registry: testClient(t, RegistryOptions{}), Store: newStore(t)}
	dir := t.TempDir()
	for _, tt := range []struct {
		at   string
		want error
	}{
		{"docker-archive:" + dir + "/a.tar:x", ErrLosesDigest},
		{"oci:" + dir + "/x:not a tag", ErrReference},
		{"oci-archive:" + dir + "/x:localhost/a@" + someDigest, ErrReference},
		{"oci-archive:" + dir, nil},
		{"oci-archive:" + dir + "/no/such/folder.tar", os.ErrNotExist},
	} {
		target, err := p.Target(mustLocate(t, tt.at))
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, %v, want %v", tt.at, target, err, tt.want)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
