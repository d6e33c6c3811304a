// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

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

// TestCopyManyReferrers: more than are looked at keep nothing from being copied, and
// do not hide what cosign 2 attached.
func TestCopyManyReferrers(t *testing.T) {
	t.Parallel()
	from, _ := newRegistryServer(t, true)
	to, _ := newRegistryServer(t, true)
	src := testClient(t, RegistryOptions{})
	ref, dstRef := mustParse(t, from+"/a:v1"), mustParse(t, to+"/a:v1")
	images := []testImage{newImage(t, "one", nil), newImage(t, "two", nil), newImage(t, "three", nil)}
	var children []Manifest
	for i, im := range images {
		im.put(t, src, ref.WithDigest(im.manifest.Descriptor.Digest.String()))
		children = append(children, im.manifest)
		for n := range MaxReferrers - 1 {
			sig := referrerOf(t, im.manifest, fmt.Sprint(i, n))
			sig.put(t, src, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
		}
	}
	index := newIndex(t, children...)
	last := children[len(children)-1].Descriptor.Digest.String()
	legacy := newImage(t, "legacy", nil)
	at := ref.WithTag(fallbackTag(ref.WithDigest(last)).tag + ".sig")
	legacy.put(t, src, at)
	if err := src.PutManifest(t.Context(), ref, index); err != nil {
		t.Fatal(err)
	}
	skipped := 0
	_, err := Copy(t.Context(), src, dstRef, src, ref, CopyOptions{Referrers: true, Progress: func(e Event) {
		if e.State == EventSkipped {
			skipped++
		}
	}})
	if err != nil || skipped != 1 {
		t.Fatalf("got %v, and %d were skipped", err, skipped)
	}
	legacy.check(t, src, dstRef.WithTag(at.tag))
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
