// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestCopyFromStoreWithout: what a store was never asked to fetch is missed, of the index
// and of the images in it, and of no source that has all.
func TestCopyFromStoreWithout(t *testing.T) {
	t.Parallel()
	src := newTree(t)
	root := src.ref.WithDigest(digestOf(t, src.Store, src.ref))
	child := src.ref.WithDigest(newImage(t, "one", nil).manifest.Descriptor.Digest.String())
	left := []digest.Digest{digest.FromString("left")}
	for _, tt := range []struct {
		at     Reference
		record Unasked
		says   string
	}{
		{root, Unasked{}, ""},
		{root, Unasked{Referrers: left, Tags: []string{"sha256-x.sig"}}, "1 attached to " + root.String() + ", never fetched"},
		{child, Unasked{Referrers: left}, "1 attached to " + child.String() + ", never fetched"},
		{child, Unasked{Unlisted: true}, "all that may else be attached to " + child.String() + ", never fetched"},
	} {
		if err := src.SetUnasked(t.Context(), tt.at, tt.record); err != nil {
			t.Fatal(err)
		}
		said := ""
		opts := CopyOptions{Referrers: true, Progress: func(e Event) {
			if e.State == EventSkipped {
				said += e.Err.Error()
			}
		}}
		if _, err := Copy(t.Context(), newStore(t), src.ref, src.Store, src.ref, opts); err != nil {
			t.Fatal(err)
		}
		if (said == "") != (tt.says == "") || !strings.HasPrefix(said, tt.says) {
			t.Errorf("got %q, want %q", said, tt.says)
		}
		if err := src.SetUnasked(t.Context(), tt.at, Unasked{}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestCopySkipsBadReferrers: junk anyone can attach does not stop a copy, and a
// signature behind it arrives.
func TestCopySkipsBadReferrers(t *testing.T) {
	t.Parallel()
	src := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	im := newImage(t, "image", nil)
	im.put(t, src, ref)
	var bad, good []testImage
	for i := range 4 {
		sig := referrerOf(t, im.manifest, fmt.Sprint(i))
		sig.put(t, src, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
		if i%2 == 0 {
			bad = append(bad, sig)
		} else {
			good = append(good, sig)
		}
	}
	for _, sig := range bad {
		if err := os.WriteFile(src.blobPath(sig.descs[1].Digest), []byte("junk"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	foreign := newImage(t, "foreign", func(m *ocispec.Manifest) {
		desc := im.manifest.Descriptor
		m.Subject = &desc
		m.Layers[0].URLs = []string{"https://x.example"}
	})
	foreign.put(t, src, ref.WithDigest(foreign.manifest.Descriptor.Digest.String()))

	var mu sync.Mutex
	skipped := 0
	dst := newStore(t)
	_, err := Copy(t.Context(), dst, ref, src, ref, CopyOptions{Referrers: true, Progress: func(e Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.State == EventSkipped {
			skipped++
		}
	}})
	if err != nil || skipped != len(bad)+1 {
		t.Errorf("got %v and %d skipped, want %d", err, skipped, len(bad)+1)
	}
	for _, sig := range good {
		sig.check(t, dst, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
	}

	// A destination that fails is another matter.
	dst = newStore(t)
	broken := errors.New("broken disk")
	im.put(t, dst, ref)
	dst.step = func(step string) error { // the image is there, so only referrers create files
		if step == "create" {
			return broken
		}
		return nil
	}
	if _, err := Copy(t.Context(), dst, ref, src, ref, CopyOptions{Referrers: true}); !errors.Is(err, broken) {
		t.Errorf("got %v, want the disk's error", err)
	}
}

// listing lists as referrers what is none.
type listing struct {
	Source
	list []ocispec.Descriptor
}

func (l listing) Referrers(context.Context, Reference) ([]ocispec.Descriptor, error) {
	return l.list, nil
}

// TestCopyLeavesStrangers: a list of referrers cannot bring in other images.
func TestCopyLeavesStrangers(t *testing.T) {
	t.Parallel()
	src, dst := newStore(t), newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	im, stranger, other := newImage(t, "image", nil), newImage(t, "stranger", nil), newImage(t, "other", nil)
	attached := referrerOf(t, other.manifest, "attached to another")
	good := referrerOf(t, im.manifest, "good")
	var list []ocispec.Descriptor
	for _, m := range []testImage{im, stranger, attached, good} {
		m.put(t, src, ref.WithDigest(m.manifest.Descriptor.Digest.String()))
		list = append(list, m.manifest.Descriptor)
	}
	im.put(t, src, ref)
	var skipped []digest.Digest
	_, err := Copy(t.Context(), dst, ref, listing{src, list}, ref, CopyOptions{Referrers: true, Progress: func(e Event) {
		if e.State == EventSkipped {
			skipped = append(skipped, e.Descriptor.Digest)
		}
	}})
	if err != nil || !slices.Contains(skipped, stranger.manifest.Descriptor.Digest) || !slices.Contains(skipped, attached.manifest.Descriptor.Digest) {
		t.Errorf("got %v, skipped %v", err, skipped)
	}
	good.check(t, dst, ref.WithDigest(good.manifest.Descriptor.Digest.String()))
	images, err := dst.List(t.Context())
	if err != nil || len(images) != 1 {
		t.Errorf("got images %v, %v, want one", images, err)
	}
}

// crowded has images in memory, with what is attached to them.
type crowded struct {
	manifests map[string]Manifest // by digest or tag
	blobs     map[digest.Digest][]byte
	referrers map[string][]ocispec.Descriptor
}

func (c crowded) add(name string, im testImage) {
	for i, data := range [][]byte{im.config, im.layer} {
		c.blobs[im.descs[i].Digest] = data
	}
	c.manifests[name] = im.manifest
}

func (c crowded) Manifest(_ context.Context, ref Reference) (Manifest, error) {
	name := ref.digest
	if name == "" {
		name = ref.tag
	}
	m, ok := c.manifests[name]
	if !ok {
		return m, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	return m, nil
}

func (c crowded) Blob(_ context.Context, _ Reference, desc ocispec.Descriptor, _ int64) ([]byte, error) {
	return c.blobs[desc.Digest], nil
}

func (c crowded) Referrers(_ context.Context, ref Reference) ([]ocispec.Descriptor, error) {
	return c.referrers[ref.digest], nil
}

// noting notes which manifests it gets.
type noting map[string]bool

func (noting) PutBlob(context.Context, Reference, ocispec.Descriptor, []byte, string) error {
	return nil
}

func (n noting) PutManifest(_ context.Context, _ Reference, m Manifest) error {
	n[m.Descriptor.Digest.String()] = true
	return nil
}

// TestCopyManyReferrers: all that are listed of one image are copied, and it is said
// when there may be others. More than that, of several images, keep nothing from being
// copied, and do not hide what cosign 2 attached.
func TestCopyManyReferrers(t *testing.T) {
	t.Parallel()
	ref := mustParse(t, "localhost/a:v1")
	for name, of := range map[string][]int{
		"one image, nearly full": {MaxReferrers - 1},
		"one image, full":        {MaxReferrers},
		"several images":         {MaxReferrers - 1, MaxReferrers - 1},
	} {
		src := crowded{map[string]Manifest{}, map[digest.Digest][]byte{}, map[string][]ocispec.Descriptor{}}
		var children []Manifest
		listed := 0
		for i, n := range of {
			im := newImage(t, fmt.Sprint(i), nil)
			at := im.manifest.Descriptor.Digest.String()
			src.add(at, im)
			children = append(children, im.manifest)
			for j := range n {
				sig := referrerOf(t, im.manifest, fmt.Sprint(i, j))
				src.add(sig.manifest.Descriptor.Digest.String(), sig)
				src.referrers[at] = append(src.referrers[at], sig.manifest.Descriptor)
			}
			listed += n
		}
		legacy := newImage(t, "legacy", nil)
		last := children[len(children)-1].Descriptor.Digest.String()
		src.add(fallbackTag(ref.WithDigest(last)).tag+".sig", legacy)
		src.manifests["v1"] = newIndex(t, children...)
		skipped, got := 0, noting{}
		_, err := Copy(t.Context(), got, ref, src, ref, CopyOptions{Referrers: true, Progress: func(e Event) {
			if e.State == EventSkipped {
				skipped++
			}
		}})
		wantSkipped := 0
		if listed != MaxReferrers-1 {
			wantSkipped = 1 // of a list that is cut, or of what is over the limit
		}
		// The index and its images, what is attached up to the limit, and the legacy tag.
		want := min(1+len(of)+listed, maxAttached) + 1
		if err != nil || skipped != wantSkipped || len(got) != want || !got[legacy.manifest.Descriptor.Digest.String()] {
			t.Errorf("%s: %v, %d manifests and %d skipped, want %d and %d", name, err, len(got), skipped, want, wantSkipped)
		}
	}
}

// TestCopyLargeReferrers: large manifests are left out once they are too much together,
// and hide neither small ones nor those that still fit.
func TestCopyLargeReferrers(t *testing.T) {
	t.Parallel()
	ref := mustParse(t, "localhost/a:v1")
	src := crowded{map[string]Manifest{}, map[digest.Digest][]byte{}, map[string][]ocispec.Descriptor{}}
	im := newImage(t, "a", nil)
	src.add("v1", im)
	want := noting{im.manifest.Descriptor.Digest.String(): true}
	for i, row := range []struct {
		size   int
		copied bool
	}{{3 << 20, true}, {4 << 20, true}, {2 << 20, false}, {1 << 20, true}, {smallAttached, true}, {smallAttached + 1, false}, {1000, true}} {
		sig := referrerOf(t, im.manifest, fmt.Sprint(i))
		m := sig.manifest
		m.Bytes = append(bytes.Clone(m.Bytes), bytes.Repeat([]byte(" "), row.size-len(m.Bytes))...)
		m.Descriptor = describe(m.Descriptor.MediaType, m.Bytes)
		sig.manifest = m
		src.add(m.Descriptor.Digest.String(), sig)
		at := im.manifest.Descriptor.Digest.String()
		src.referrers[at] = append(src.referrers[at], m.Descriptor)
		if row.copied {
			want[m.Descriptor.Digest.String()] = true
		}
	}
	got, skipped := noting{}, 0
	_, err := Copy(t.Context(), got, ref, src, ref, CopyOptions{Referrers: true, Progress: func(e Event) {
		if e.State == EventSkipped {
			skipped++
			if !errors.Is(e.Err, ErrTooLarge) {
				t.Errorf("skipped, because %v", e.Err)
			}
		}
	}})
	if err != nil || skipped != 2 || !maps.Equal(got, want) {
		t.Errorf("%v, %d skipped, got %v, want %v", err, skipped, got, want)
	}
}

// TestCopyKeepsLegacySignatures: a push with older signatures than the
// destination has does not take the newer ones away.
func TestCopyKeepsLegacySignatures(t *testing.T) {
	t.Parallel()
	src, dst := newStore(t), newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	im := newImage(t, "image", nil)
	im.put(t, src, ref)
	tag := fallbackTag(ref.WithDigest(im.manifest.Descriptor.Digest.String())).withSuffix(".sig")
	older := newImage(t, "older", nil)
	newer := newImage(t, "newer", func(m *ocispec.Manifest) { m.Layers = append(m.Layers, older.descs[1]) })
	older.put(t, src, tag)
	older.put(t, dst, tag.WithTag("x"))
	newer.put(t, dst, tag)
	if _, err := Copy(t.Context(), dst, ref, src, ref, CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	newer.check(t, dst, tag)
	if _, err := Copy(t.Context(), src, ref, dst, ref, CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	newer.check(t, src, tag)
}
