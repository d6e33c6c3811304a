// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
)

// TestUnmoved: one request says that a tag has not moved, and all the rest is read from
// the store.
func TestUnmoved(t *testing.T) {
	t.Parallel()
	k, store, _, recorder := stored(t)
	cached := &Cached{Local: store, Remote: k.src}
	src, err := cached.Unmoved(t.Context(), k.ref)
	if err != nil || src == nil {
		t.Fatalf("got %v, %v", src, err)
	}
	img, err := Fetch(t.Context(), src, k.ref, Options{})
	if err != nil || bundlesOf(img.Candidates) != "signature" || img.Reference != k.ref {
		t.Errorf("got %+v (%v)", img, err)
	}
	if calls := recorder.Calls(); recorder.Count("HEAD", "/manifests/") != 1 || recorder.Count("", "/net/") > 1 {
		t.Errorf("asked for %+v", calls)
	}
}

// TestMoved: where a tag moved, Unmoved has nothing, and what it learnt is not asked for
// again.
func TestMoved(t *testing.T) {
	t.Parallel()
	k, store, _, recorder := stored(t)
	m := k.image(ours(t, file{name: "a.o", content: "y"}))
	k.refer(m, schemas.MediaTypeBundle, "another")
	cached := &Cached{Local: store, Remote: k.src}
	if src, err := cached.Unmoved(t.Context(), k.ref); err != nil || src != nil {
		t.Fatalf("got %v, %v", src, err)
	}
	img, err := Fetch(t.Context(), cached, k.ref, Options{})
	if err != nil || img.Root.Descriptor.Digest != m.Digest || bundlesOf(img.Candidates) != "another" {
		t.Errorf("got %+v (%v)", img, err)
	}
	if n := recorder.Count("GET", "/manifests/"+k.ref.Tag()); n != 1 {
		t.Errorf("the tag was read %d times: %+v", n, recorder.Calls())
	}
}

// TestUnmovedKnowsNothing: without a known meaning of the name nothing is asked.
func TestUnmovedKnowsNothing(t *testing.T) {
	t.Parallel()
	k, store, _, recorder := stored(t)
	known, err := store.Manifest(t.Context(), k.ref)
	if err != nil {
		t.Fatal(err)
	}
	for name, ref := range map[string]image.Reference{
		"a tag that is not there": k.ref.WithTag("v2"),
		"a digest":                k.ref.WithDigest(known.Descriptor.Digest.String()),
	} {
		src, err := (&Cached{Local: store, Remote: k.src}).Unmoved(t.Context(), ref)
		if src != nil || err != nil || len(recorder.Calls()) != 0 {
			t.Errorf("%s: got %v, %v; asked for %+v", name, src, err, recorder.Calls())
		}
	}
	if _, err := (&Cached{Local: store, Remote: image.InMemory(known, nil, nil)}).Unmoved(t.Context(), k.ref); err != nil {
		t.Error(err) // a source that cannot tell
	}
}
