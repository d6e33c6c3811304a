// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
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
	long := at.WithDigest(digest.SHA512.FromString("{}").String())
	if err := os.MkdirAll(filepath.Dir(s.blobPath(digest.Digest(long.Digest()))), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.blobPath(digest.Digest(long.Digest())), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := Unasked{}
	for i := range MaxReferrers {
		all.Referrers = append(all.Referrers, digest.SHA512.FromString(strconv.Itoa(i)))
	}
	if err := s.SetUnasked(ctx, long, all); err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.Now().Add(2 * leftoverAge) }
	s.sweepUnasked()
	if u, err := s.Unasked(ctx, long); err != nil || len(u.Referrers) != MaxReferrers {
		t.Errorf("the image is there, by sha512, and of its record %d are left: %v", len(u.Referrers), err)
	}
	if err := os.Remove(s.blobPath(digest.Digest(long.Digest()))); err != nil {
		t.Fatal(err)
	}
	if s.sweepUnasked(); len(listOf(t, filepath.Join(dir, unaskedFolder))) != 0 {
		t.Error("the image is gone, and what is left of it is not")
	}
	if err := s.SetUnasked(ctx, at.WithTag("v1"), Unasked{}); err == nil {
		t.Error("recorded for no digest")
	}
}

// TestUnaskedTogether: several processes write, read and sweep the records, and nobody
// reads half a one.
func TestUnaskedTogether(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := mustParse(t, "registry.test/net/counter@"+digest.FromString("image").String())
	records := []Unasked{{Unlisted: true}, {}}
	for i := range MaxReferrers {
		records[1].Referrers = append(records[1].Referrers, digest.FromString(strconv.Itoa(i)))
	}
	var all sync.WaitGroup
	for _, record := range records {
		s := newStoreAt(t, dir)
		all.Go(func() {
			for range 20 {
				if err := s.SetUnasked(t.Context(), at, record); err != nil {
					t.Error(err)
				}
				s.sweepUnasked()
				if u, err := s.Unasked(t.Context(), at); err != nil || !u.Unlisted && len(u.Referrers) != MaxReferrers {
					t.Errorf("got %d referrers, %v", len(u.Referrers), err)
				}
			}
		})
	}
	all.Wait()
}

// TestUnaskedOfACheckedStore: a record is part of a good store, and one that cannot be
// written is no silent loss.
func TestUnaskedOfACheckedStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newStoreAt(t, dir)
	ref := mustParse(t, "registry.test/net/counter:v1")
	im := newImage(t, "image", nil)
	im.put(t, s, ref)
	at := ref.WithDigest(im.manifest.Descriptor.Digest.String())
	left := Unasked{Referrers: []digest.Digest{digest.FromString("left")}}
	if err := s.SetUnasked(t.Context(), at, left); err != nil {
		t.Fatal(err)
	}
	if report, err := s.Check(t.Context()); err != nil || len(report.Problems) > 0 {
		t.Errorf("got %+v, %v", report, err)
	}
	if u, err := s.Unasked(t.Context(), at); err != nil || !reflect.DeepEqual(u, left) {
		t.Errorf("after the check: %+v, %v", u, err)
	}
	if err := s.Remove(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.Now().Add(2 * leftoverAge) }
	if s.sweepUnasked(); len(listOf(t, filepath.Join(dir, unaskedFolder))) != 0 {
		t.Error("the image was removed, and its record is kept for ever")
	}
	if err := os.RemoveAll(filepath.Join(dir, unaskedFolder)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, unaskedFolder), nil, 0o600); err != nil { // nobody may write there, not even root
		t.Fatal(err)
	}
	if err := s.SetUnasked(t.Context(), at, left); err == nil {
		t.Error("the record was not written, and nobody heard of it")
	}
}

func newStoreAt(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func listOf(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}
