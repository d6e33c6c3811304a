// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// noDisk makes a store sync each file by itself.
func noDisk(string) *os.File { return nil }

// syncs counts the calls that wait for the disk, by their names.
func syncs(s *Store) func() map[string]int {
	var mu sync.Mutex
	counts := map[string]int{}
	s.step = func(step string) error {
		mu.Lock()
		defer mu.Unlock()
		switch step {
		case "syncfs", "sync", "sync folder":
			counts[step]++
		}
		return nil
	}
	return func() map[string]int { return counts }
}

// TestOneBarrier: an image with all that is attached to it waits for the disk once for
// its content and once for the name of the new index.json.
func TestOneBarrier(t *testing.T) {
	t.Parallel()
	if disk := openDisk(t.TempDir()); disk == nil {
		t.Skip("SKIP-REASON: the file system of temporary files cannot be synced as a whole")
	} else if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
	src := newTree(t)
	for name, tt := range map[string]struct {
		openDisk func(string) *os.File
		want     map[string]int
	}{
		"as a whole": {openDisk, map[string]int{"syncfs": 1, "sync folder": 1}},
		// Side by side: the blobs, their folder and the one above, then index.json.
		"each": {noDisk, map[string]int{"sync": src.files + 1, "sync folder": 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dst := newStore(t)
			newImage(t, "other", nil).put(t, dst, mustParse(t, "localhost/b:v1")) // makes the store
			dst.openDisk = tt.openDisk
			count := syncs(dst)
			if _, err := Copy(t.Context(), dst, src.ref, src.Store, src.ref, CopyOptions{Referrers: true}); err != nil {
				t.Fatal(err)
			}
			if got := count(); !maps.Equal(got, tt.want) {
				t.Errorf("waited for the disk %v, want %v", got, tt.want)
			}
			list, err := dst.Referrers(t.Context(), src.ref.WithDigest(digestOf(t, dst, src.ref)))
			if report, checkErr := dst.Check(t.Context()); err != nil || checkErr != nil || len(list) != 1 || len(report.Problems) > 0 {
				t.Errorf("%d referrers, %v; %+v, %v", len(list), err, report, checkErr)
			}
		})
	}
}

// TestNothingIsNamedBeforeItIsDurable: at no step does index.json, as whoever comes
// after a power cut finds it, lead to a file that was changed since the last barrier.
func TestNothingIsNamedBeforeItIsDurable(t *testing.T) {
	t.Parallel()
	src := newTree(t)
	for name, open := range map[string]func(string) *os.File{"as a whole": openDisk, "each": noDisk} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dst := newStore(t)
			dst.openDisk = open
			newImage(t, "other", nil).put(t, dst, src.ref)
			durable := snapshot(t, dst)
			var mu sync.Mutex
			named := 0
			dst.step = func(step string) error {
				mu.Lock()
				defer mu.Unlock()
				if step == "syncfs" || step == "sync folder" {
					durable = snapshot(t, dst)
				}
				named = checkNamed(t, dst, step, durable)
				return nil
			}
			if _, err := Copy(t.Context(), dst, src.ref, src.Store, src.ref, CopyOptions{Referrers: true}); err != nil {
				t.Fatal(err)
			}
			if named != src.files {
				t.Errorf("%d files are named, want %d", named, src.files)
			}
		})
	}
}

// checkNamed compares all that index.json leads to with what is durable, and counts it.
func checkNamed(t *testing.T, s *Store, step string, durable map[digest.Digest][]byte) (named int) {
	t.Helper()
	index, err := s.loadIndex()
	if err != nil {
		t.Error(err)
	}
	below, err := s.allBelow(index.Manifests)
	if err != nil {
		t.Error(err)
	}
	for d := range below {
		if d == "" {
			continue // the config of an index
		}
		named++
		if data, err := os.ReadFile(s.blobPath(d)); err != nil || !bytes.Equal(data, durable[d]) {
			t.Errorf("after %q: %s is named, and would not survive (%v)", step, d, err)
		}
	}
	return named
}

// snapshot is the content of all blobs.
func snapshot(t testing.TB, s *Store) map[digest.Digest][]byte {
	t.Helper()
	all := map[digest.Digest][]byte{}
	for d := range blobFiles(t, s) {
		data, err := os.ReadFile(s.blobPath(d))
		if err != nil {
			t.Error(err)
		}
		all[d] = data
	}
	return all
}

// TestTornBlobIsWrittenAnew: what a power cut left under a blob's name, before anything
// named it, is not taken for the blob.
func TestTornBlobIsWrittenAnew(t *testing.T) {
	t.Parallel()
	ref := mustParse(t, "localhost/a:v1")
	im := newImage(t, "image", nil)
	for name, left := range map[string]func(data []byte) []byte{
		"empty":       func([]byte) []byte { return nil },
		"half":        func(data []byte) []byte { return data[:len(data)/2] },
		"only zeroes": func(data []byte) []byte { return make([]byte, len(data)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst := newStore(t), newStore(t)
			im.put(t, src, ref)
			for d, data := range snapshot(t, src) {
				if err := os.MkdirAll(filepath.Dir(dst.blobPath(d)), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(dst.blobPath(d), left(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Copy(t.Context(), dst, ref, src, ref, CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			im.check(t, dst, ref)
		})
	}
}

// TestKilledWhileCopying: an index with all that is attached arrives as a whole.
func TestKilledWhileCopying(t *testing.T) {
	t.Parallel()
	src := newTree(t)
	want := digestOf(t, src.Store, src.ref)
	before := newImage(t, "old", nil)
	for step := 0; ; step += 3 {
		s := newStore(t)
		before.put(t, s, src.ref)
		err := helper(t, "killcopy", s.dir, step).Run()
		index, readErr := s.loadIndex()
		if readErr != nil {
			t.Fatalf("step %d: %v", step, readErr)
		}
		entries := 1
		if digestOf(t, s, src.ref) == want {
			entries += 3 // the signatures
		}
		if len(index.Manifests) != entries {
			t.Errorf("step %d left %d entries, want %d", step, len(index.Manifests), entries)
		}
		if report, err := s.Check(t.Context()); err != nil || len(report.Problems) > 0 {
			t.Errorf("step %d: %+v, %v", step, report.Problems, err)
		}
		if err == nil {
			if entries != 4 || step < src.files {
				t.Errorf("the last of %d steps left %d entries", step, entries)
			}
			return
		}
	}
}

// TestFailedCopyNamesNothing: one that ends between the image and what is attached
// leaves the store as it was.
func TestFailedCopyNamesNothing(t *testing.T) {
	t.Parallel()
	src, dst := newTree(t), newStore(t)
	broken := failingReferrers{src.Store}
	if _, err := Copy(t.Context(), dst, src.ref, broken, src.ref, CopyOptions{Referrers: true}); err == nil {
		t.Fatal("the copy succeeded")
	}
	if index, err := dst.loadIndex(); err != nil || len(index.Manifests) != 0 {
		t.Errorf("%+v, %v", index.Manifests, err)
	}
}

type failingReferrers struct{ *Store }

func (failingReferrers) Referrers(context.Context, Reference) ([]ocispec.Descriptor, error) {
	return nil, &RegistryError{Status: 500}
}
