// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// tree is an index of two images in a store, each of the three signed, with the ref.
type tree struct {
	*Store
	ref   Reference
	files int // how many blobs it consists of
}

func newTree(t testing.TB) tree {
	t.Helper()
	s := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	images := []testImage{newImage(t, "one", nil), newImage(t, "two", nil)}
	index := newIndex(t, images[0].manifest, images[1].manifest)
	subjects := []Manifest{index}
	for _, im := range images {
		im.put(t, s, ref.WithDigest(im.manifest.Descriptor.Digest.String()))
		subjects = append(subjects, im.manifest)
	}
	if err := s.PutManifest(t.Context(), ref, index); err != nil {
		t.Fatal(err)
	}
	for i, subject := range subjects {
		sig := referrerOf(t, subject, string(rune('a'+i)))
		sig.put(t, s, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
	}
	return tree{s, ref, len(blobFiles(t, s))}
}

func digestOf(t *testing.T, s *Store, ref Reference) string {
	t.Helper()
	m, err := s.Manifest(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return m.Descriptor.Digest.String()
}

// origins is a store with one image that was copied from two repositories, a and b, each
// of which has a referrer and a signature by tag of its own; c was tagged from a, d
// from c, and e is a name that was built here.
type origins struct {
	*Store
	im         testImage
	sigs       map[string]testImage
	legacyTag  string
	a, b, c, d Reference
}

func newOrigins(t *testing.T) origins {
	t.Helper()
	o := origins{Store: newStore(t), im: newImage(t, "image", nil), sigs: map[string]testImage{}}
	o.a, o.b = mustParse(t, "one.example/a:v1"), mustParse(t, "two.example/b:v1")
	o.c, o.d = mustParse(t, "three.example/c:v1"), mustParse(t, "three.example/d:v1")
	o.legacyTag = fallbackTag(o.a.WithDigest(o.im.manifest.Descriptor.Digest.String())).tag + ".sig"
	for _, ref := range []Reference{o.a, o.b} {
		src := newStore(t)
		o.im.put(t, src, ref)
		sig := referrerOf(t, o.im.manifest, ref.repository)
		sig.put(t, src, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
		newImage(t, "legacy "+ref.repository, nil).put(t, src, ref.WithTag(o.legacyTag))
		o.sigs[ref.repository] = sig
		if _, err := Copy(t.Context(), o.Store, ref, src, ref, CopyOptions{Referrers: true}); err != nil {
			t.Fatal(err)
		}
	}
	for _, pair := range [][2]Reference{{o.a, o.c}, {o.c, o.d}} {
		if err := o.Tag(t.Context(), pair[0], pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// pushed says what arrives elsewhere: the seeds of the referrers and of what was attached
// by tag, and how many were left out.
func (o origins) pushed(t *testing.T, ref Reference, all bool) string {
	t.Helper()
	left := 0
	opts, err := o.PushOptions(t.Context(), ref, all, func(ocispec.Descriptor) { left++ })
	if err != nil {
		t.Fatal(err)
	}
	dst := newStore(t)
	if _, err := Copy(t.Context(), dst, ref, o.Store, ref, opts); err != nil {
		t.Fatal(err)
	}
	list, err := dst.Referrers(t.Context(), ref.WithDigest(o.im.manifest.Descriptor.Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, desc := range list {
		got = append(got, desc.Annotations["seed"])
	}
	slices.Sort(got)
	if m, err := dst.Manifest(t.Context(), ref.WithTag(o.legacyTag)); err == nil {
		for _, name := range []string{"a", "b"} {
			if m.Descriptor.Digest == newImage(t, "legacy "+name, nil).manifest.Descriptor.Digest {
				got = append(got, "legacy "+name)
			}
		}
	}
	return fmt.Sprintf("%s; left %d", strings.Join(got, ", "), left)
}

// TestPushTakesItsOwn: what was attached under a name goes with that name, and with those
// that were tagged from it.
func TestPushTakesItsOwn(t *testing.T) {
	t.Parallel()
	o := newOrigins(t)
	byDigest := o.a.WithTag("").WithDigest(o.im.manifest.Descriptor.Digest.String())
	for _, tt := range []struct {
		ref  Reference
		all  bool
		want string
	}{
		{o.a, false, "a, legacy a; left 1"},
		{byDigest, false, "a, legacy a; left 1"},
		{o.b, false, "b, legacy b; left 1"},
		{o.c, false, "a, legacy a; left 1"},
		{o.d, false, "a, legacy a; left 1"},
		{o.a, true, "a, b, legacy a; left 0"},
		{o.b, true, "a, b, legacy b; left 0"},
		{o.d, true, "a, b, legacy a; left 0"},
	} {
		if got := o.pushed(t, tt.ref, tt.all); got != tt.want {
			t.Errorf("%s, all %v: %s, want %s", tt.ref, tt.all, got, tt.want)
		}
	}

	// What comes from a second place belongs to both.
	sig := o.sigs["a"]
	sig.put(t, o.Store, o.b.WithDigest(sig.manifest.Descriptor.Digest.String()))
	for ref, want := range map[Reference]string{o.a: "a, legacy a; left 1", o.b: "a, b, legacy b; left 0"} {
		if got := o.pushed(t, ref, false); got != want {
			t.Errorf("%s, after another came: %s, want %s", ref, got, want)
		}
	}
	// A name that is given to another image has nothing of the old one's.
	other := newImage(t, "other", nil)
	other.put(t, o.Store, o.c)
	if index, err := o.loadIndex(); err != nil || !slices.Equal(lineage(index, o.c), []string{o.c.Name()}) {
		t.Errorf("%v: %q", err, lineage(index, o.c))
	}
}

// TestPushFromOldStores: without a record, what is attached belongs to the one repository
// in which the image is, and to none if there are several.
func TestPushFromOldStores(t *testing.T) {
	t.Parallel()
	o := newOrigins(t)
	forget := func() {
		err := o.update(t.Context(), func(index *ocispec.Index) (func() error, error) {
			for _, entry := range index.Manifests {
				for _, key := range []string{annotationNames, annotationFrom, annotationWhole} {
					delete(entry.Annotations, key)
				}
			}
			return nil, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	forget()
	if got, want := o.pushed(t, o.a, false), "legacy a; left 2"; got != want {
		t.Errorf("several repositories: %s, want %s", got, want)
	}
	for _, ref := range []Reference{o.b, o.c, o.d} {
		if err := o.Remove(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := o.pushed(t, o.a, false), "a, b, legacy a; left 0"; got != want {
		t.Errorf("one repository: %s, want %s", got, want)
	}
	// What that is, is recorded before another repository comes by.
	sig := o.sigs["a"]
	o.im.put(t, o.Store, o.b)
	sig.put(t, o.Store, o.a.WithDigest(sig.manifest.Descriptor.Digest.String()))
	if got, want := o.pushed(t, o.a, false), "a, legacy a; left 1"; got != want {
		t.Errorf("recorded anew: %s, want %s", got, want)
	}
}

// TestRecordIsBounded: a list forgets its oldest word, and repeats none.
func TestRecordIsBounded(t *testing.T) {
	t.Parallel()
	var entry ocispec.Descriptor
	for i := range maxRecorded + 4 {
		record(&entry, annotationNames, fmt.Sprintf("x.example/%d", i), "x.example/always")
	}
	got := recorded(entry, annotationNames)
	if len(got) != maxRecorded || got[0] != "x.example/5" || got[maxRecorded-1] != "x.example/always" {
		t.Errorf("recorded %q", got)
	}
}

// TestWhole is about what a store remembers of a copy, and for how long.
func TestWhole(t *testing.T) {
	t.Parallel()
	src, dst := newTree(t), newStore(t)
	root := digest.Digest(digestOf(t, src.Store, src.ref))
	child := newImage(t, "one", nil).manifest.Descriptor.Digest
	whole := func(ref Reference, images ...digest.Digest) bool {
		t.Helper()
		ok, err := dst.Whole(t.Context(), ref, images...)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	copyAs := func(opts CopyOptions) {
		t.Helper()
		opts.Referrers = true
		if _, err := Copy(t.Context(), dst, src.ref, src.Store, src.ref, opts); err != nil {
			t.Fatal(err)
		}
	}
	copyAs(CopyOptions{})
	if whole(src.ref, root) {
		t.Error("a copy that did not say so counts as whole")
	}
	copyAs(CopyOptions{Whole: []digest.Digest{root}})
	if !whole(src.ref, root) || whole(src.ref, root, child) || whole(src.ref.WithTag("v2"), root) {
		t.Error("after the first that did")
	}
	copyAs(CopyOptions{Whole: []digest.Digest{child}})
	copyAs(CopyOptions{}) // takes nothing back: attachments are not removed
	if !whole(src.ref, root, child) || !whole(src.ref.WithTag("").WithDigest(root.String()), root, child) {
		t.Error("after the second")
	}
	for name, damage := range map[string]func(path string) error{
		"torn": func(path string) error { return os.Truncate(path, 3) },
		"gone": os.Remove,
	} {
		index, err := dst.loadIndex()
		i := slices.IndexFunc(index.Manifests, isReferrer)
		if err != nil || i < 0 {
			t.Fatal(err, index)
		}
		if err := damage(dst.blobPath(index.Manifests[i].Digest)); err != nil {
			t.Fatal(err)
		}
		subject := digest.Digest(index.Manifests[i].Annotations[annotationSubject])
		if whole(src.ref, root, subject) {
			t.Errorf("a referrer is %s", name)
		}
		copyAs(CopyOptions{Whole: []digest.Digest{root, child, subject}})
		if !whole(src.ref, root, subject) {
			t.Errorf("a referrer that was %s is there again", name)
		}
	}
	newImage(t, "other", nil).put(t, dst, src.ref)
	if whole(src.ref, root) {
		t.Error("the tag names something else now")
	}
}

// TestWholeNoMore: what nobody fetched since, as he did not need it, is missing, and so is
// a tag of cosign 2 that was removed.
func TestWholeNoMore(t *testing.T) {
	t.Parallel()
	src, dst := newTree(t), newStore(t)
	root := digest.Digest(digestOf(t, src.Store, src.ref))
	at := src.ref.WithDigest(root.String())
	tag := src.ref.WithTag(LegacyTag(root, ".sig"))
	newImage(t, "legacy", nil).put(t, src.Store, tag)
	left := []digest.Digest{digest.FromString("left")}
	for _, tt := range []struct {
		name string
		do   func() error
		want bool
	}{
		{"nothing", func() error { return nil }, true},
		{"left for a limit", func() error { return dst.SetUnasked(t.Context(), at, Unasked{Referrers: left}) }, true},
		{"not needed", func() error { return dst.SetUnasked(t.Context(), at, Unasked{Referrers: left, Needless: true}) }, false},
		{"not needed, but here", func() error {
			return dst.SetUnasked(t.Context(), at, Unasked{Referrers: []digest.Digest{root}, Needless: true})
		}, true},
		{"not readable", func() error { return os.WriteFile(dst.unaskedPath(root), []byte("{"), 0o600) }, false},
		{"fetched", func() error { return dst.SetUnasked(t.Context(), at, Unasked{}) }, true},
		{"removed another repository's", func() error {
			other := mustParse(t, "localhost/other").WithTag(tag.tag)
			return joined.Errors(dst.Tag(t.Context(), tag, other), dst.Remove(t.Context(), other))
		}, true},
		{"removed", func() error { return dst.Remove(t.Context(), tag) }, false},
	} {
		if _, err := Copy(t.Context(), dst, src.ref, src.Store, src.ref, CopyOptions{Referrers: true, Whole: []digest.Digest{root}}); err != nil {
			t.Fatal(err)
		}
		if err := tt.do(); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got, err := dst.Whole(t.Context(), src.ref, root); err != nil || got != tt.want {
			t.Errorf("%s: got %v, %v", tt.name, got, err)
		}
	}
}

// TestRecordsStayHere: what others read says nothing of where attachments came from.
func TestRecordsStayHere(t *testing.T) {
	t.Parallel()
	o := newOrigins(t)
	dir := filepath.Join(t.TempDir(), "layout")
	w, err := newLayoutWriter(dir, "v1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(t.Context(), w, w.root, o.Store, o.a, CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, ocispec.ImageIndexFile))
	if err != nil || strings.Contains(string(data), ".example") {
		t.Errorf("%s, %v", data, err)
	}
	archive, err := NewArchiveWriter(filepath.Join(t.TempDir(), "archive"))
	if err != nil {
		t.Fatal(err)
	}
	defer archive.Close()
	if _, err := Copy(t.Context(), archive, o.a, o.Store, o.a, CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	if index, err := archive.loadIndex(); err != nil || slices.ContainsFunc(index.Manifests, func(d ocispec.Descriptor) bool { return len(recorded(d, annotationNames)) > 0 }) {
		t.Errorf("%+v, %v", index, err)
	}
}
