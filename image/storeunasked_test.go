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

func listOf(t *testing.T, dir string) []os.DirEntry {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}
