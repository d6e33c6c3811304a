// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

// TestUnasked: what was left is known until it is there, or the image is gone.
func TestUnasked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, at := t.Context(), mustParse(t, "registry.test/net/counter@"+digest.FromString("image").String())
	there, left := digest.FromString("{}"), digest.FromString("left")
	get := func() Unasked {
		t.Helper()
		u, err := s.Unasked(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	set := func(u Unasked) {
		t.Helper()
		if err := s.SetUnasked(ctx, at, u); err != nil {
			t.Fatal(err)
		}
	}
	if !get().None() {
		t.Error("nothing was recorded")
	}
	set(Unasked{})
	set(Unasked{Unlisted: true, Referrers: []digest.Digest{there, left, "../../x"}, Tags: []string{"sha256-x.sig"}})
	want := Unasked{Unlisted: true, Referrers: []digest.Digest{there, left}, Tags: []string{"sha256-x.sig"}}
	if u := get(); !reflect.DeepEqual(u, want) || u.None() {
		t.Errorf("got %+v", u)
	}
	if err := os.WriteFile(s.blobPath(there), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if u := get(); len(u.Referrers) != 1 || u.Referrers[0] != left {
		t.Errorf("fetched since, and got %+v", u)
	}
	file := s.unaskedPath(digest.Digest(at.Digest()))
	for name, content := range map[string]string{"cut off": `{"referr`, "too large": strings.Repeat(" ", maxUnasked+1)} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if u, err := s.Unasked(ctx, at); err == nil {
			t.Errorf("%s: got %+v", name, u)
		}
	}
	set(Unasked{Tags: []string{"sha256-x.att"}})
	set(Unasked{})
	if _, err := os.Stat(file); err == nil || !get().None() {
		t.Errorf("all was asked for: %v", err)
	}
	set(Unasked{Unlisted: true})
	if s.sweepUnasked(); len(listOf(t, filepath.Join(dir, unaskedFolder))) != 0 {
		t.Error("the image is gone, and what is left of it is not")
	}
	if err := s.SetUnasked(ctx, at.WithTag("v1"), Unasked{}); err == nil {
		t.Error("recorded for no digest")
	}
}

// TestUnaskedSHA512: as much is remembered of an image by either kind of digest, for as
// long as the image is there.
func TestUnaskedSHA512(t *testing.T) {
	t.Parallel()
	for _, a := range algorithms {
		s := newStore(t)
		ref, im := mustParse(t, "localhost/a:v1"), newImage(t, "image", nil)
		im.put(t, s, ref)
		m := Manifest{Descriptor: im.manifest.Descriptor, Bytes: im.manifest.Bytes}
		m.Descriptor.Digest = a.FromBytes(m.Bytes)
		if err := s.PutManifest(t.Context(), ref, m); err != nil {
			t.Fatal(err)
		}
		at := ref.WithDigest(m.Descriptor.Digest.String())
		var u Unasked
		for i := range MaxReferrers {
			u.Referrers = append(u.Referrers, a.FromString(strconv.Itoa(i)))
		}
		if err := s.SetUnasked(t.Context(), at, u); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Prune(t.Context(), PruneOptions{Now: true}); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Unasked(t.Context(), at); err != nil || len(got.Referrers) != MaxReferrers {
			t.Errorf("%s: got %d, %v", a, len(got.Referrers), err)
		}
		if err := s.Remove(t.Context(), ref); err != nil {
			t.Fatal(err)
		}
		if left := listOf(t, filepath.Join(s.dir, unaskedFolder)); len(left) != 0 {
			t.Errorf("%s: the image is gone, and %v is not", a, left)
		}
	}
}

func listOf(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}
