// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

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
	if s.sweepUnasked(); get().None() {
		t.Error("the image has yet to arrive, and the record is gone")
	}
	s.now = func() time.Time { return time.Now().Add(2 * leftoverAge) }
	if s.sweepUnasked(); len(listOf(t, filepath.Join(dir, unaskedFolder))) != 0 {
		t.Error("the image is gone, and what is left of it is not")
	}
	if err := s.SetUnasked(ctx, at.WithTag("v1"), Unasked{}); err == nil {
		t.Error("recorded for no digest")
	}
}

// TestUnaskedOfSeveral: what one repository has says nothing of another; of a name without
// a note, all notes count.
func TestUnaskedOfSeveral(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	d := digest.FromString("image").String()
	a, b, c := mustParse(t, "one.test/a@"+d), mustParse(t, "two.test/b@"+d), mustParse(t, "three.test/c@"+d)
	left := []digest.Digest{digest.FromString("left")}
	get := func(ref Reference) Unasked {
		t.Helper()
		u, err := s.Unasked(t.Context(), ref)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	set := func(ref Reference, u Unasked) {
		t.Helper()
		if err := s.SetUnasked(t.Context(), ref, u); err != nil {
			t.Fatal(err)
		}
	}
	set(a, Unasked{Referrers: left})
	set(b, Unasked{})
	if len(get(a).Referrers) != 1 || !get(b).None() || len(get(c).Referrers) != 1 {
		t.Errorf("got %+v, %+v, %+v", get(a), get(b), get(c))
	}
	set(b, Unasked{Tags: []string{"x"}, Needless: true})
	if got := get(c); len(got.Referrers) != 1 || len(got.Tags) != 1 || !got.Needless {
		t.Errorf("got %+v", got)
	}

	// Over the limits, more is asked for than needs be.
	many := Unasked{Referrers: slices.Repeat(left, 2*MaxReferrers)}
	set(a, many)
	set(b, many)
	if got := get(b); len(got.Referrers) != MaxReferrers {
		t.Errorf("got %d of %d", len(got.Referrers), MaxReferrers)
	}
	set(c, many)
	if got := get(b); !got.Unlisted || len(get(a).Referrers)+len(get(c).Referrers) != 2*MaxReferrers {
		t.Errorf("got %d, %d and %d", len(get(a).Referrers), len(got.Referrers), len(get(c).Referrers))
	}
	for i := range 2 * maxRecorded {
		set(mustParse(t, "more.test/"+strconv.Itoa(i)+"@"+d), many)
	}
	if info, err := os.Stat(s.unaskedPath(digest.Digest(d))); err != nil || info.Size() > maxUnasked {
		t.Errorf("got %v, %v", info, err)
	}
	if got := get(a); got.None() {
		t.Error("forgotten")
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
		s.now = func() time.Time { return time.Now().Add(2 * leftoverAge) }
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
