// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func newStore(t testing.TB) *Store {
	t.Helper()
	return openStore(t, filepath.Join(t.TempDir(), "store"))
}

func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func blobFiles(t testing.TB, s *Store) map[digest.Digest]bool {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.dir, "blobs", "sha256"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[digest.Digest]bool{}
	for _, entry := range entries {
		found[digest.NewDigestFromEncoded(digest.SHA256, entry.Name())] = true
	}
	return found
}

func TestOpenStoreWritesNothing(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	if list, err := s.List(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("got %v, %v", list, err)
	}
	if err := s.Remove(t.Context(), ref); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reading created %s: %v", s.dir, err)
	}
}

func TestOpenStoreRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	other := t.TempDir()
	for path, text := range map[string]string{file: "", filepath.Join(other, "oci-layout"): `{"imageLayoutVersion":"9"}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{file, other} {
		if _, err := OpenStore(dir); err == nil || !strings.Contains(err.Error(), "BPFIMG_ROOT") || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v", dir, err)
		}
	}
}

// TestDamagedContent: what was altered on disk is never returned, and writing it
// again heals it.
func TestDamagedContent(t *testing.T) {
	t.Parallel()
	im := newImage(t, "damage", nil)
	ref := mustParse(t, "localhost/a:v1")
	damages := map[string]func(path string, data []byte) error{
		"flipped byte": func(path string, data []byte) error {
			data[0] ^= 1
			return os.WriteFile(path, data, 0o600)
		},
		"truncated": func(path string, data []byte) error { return os.Truncate(path, int64(len(data)/2)) },
		"longer":    func(path string, data []byte) error { return os.WriteFile(path, append(data, 'x'), 0o600) },
		"empty":     func(path string, _ []byte) error { return os.Truncate(path, 0) },
	}
	for name, damage := range damages {
		for _, d := range []digest.Digest{im.descs[0].Digest, im.descs[1].Digest, im.manifest.Descriptor.Digest} {
			s := newStore(t)
			im.put(t, s, ref)
			path := s.blobPath(d)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(path, data); err != nil {
				t.Fatal(err)
			}
			_, manifestErr := s.Manifest(t.Context(), ref)
			_, configErr := s.Blob(t.Context(), ref, im.descs[0], MaxConfig)
			_, layerErr := s.Blob(t.Context(), ref, im.descs[1], MaxLayer)
			if err := errors.Join(manifestErr, configErr, layerErr); !errors.Is(err, ErrDigestMismatch) {
				t.Errorf("%s %s: got %v, want ErrDigestMismatch", name, d, err)
			}
			im.put(t, s, ref)
			im.check(t, s, ref)
		}
	}
}

func TestDamagedIndex(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	im := newImage(t, "index", nil)
	ref := mustParse(t, "localhost/a:v1")
	im.put(t, s, ref)
	path := filepath.Join(s.dir, "index.json")
	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Manifest(t.Context(), ref); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want an error naming %s", err, path)
	}
	if err := im.tryPut(t.Context(), s, ref); err == nil {
		t.Error("a damaged index was overwritten")
	}
}

// TestReferrerCannotTakeAName: a stranger's annotations never name an image.
func TestReferrerCannotTakeAName(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	im := newImage(t, "victim", nil)
	ref := mustParse(t, "localhost/a:v1")
	im.put(t, s, ref)
	evil := referrerOf(t, im.manifest, "evil") // annotated with a ref.name
	evil.put(t, s, ref.WithDigest(evil.manifest.Descriptor.Digest.String()))
	if _, err := s.Manifest(t.Context(), mustParse(t, "localhost/stolen:name")); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	list, err := s.List(t.Context())
	if err != nil || len(list) != 1 || list[0].Reference != ref {
		t.Errorf("got %+v, %v", list, err)
	}
	referrers, err := s.Referrers(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String()))
	if err != nil || len(referrers) != 1 || referrers[0].ArtifactType != "application/vnd.test.signature" || referrers[0].Annotations["seed"] != "evil" {
		t.Errorf("got referrers %+v, %v", referrers, err)
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	one, two := newImage(t, "one", nil), newImage(t, "two", nil)
	index := newIndex(t, one.manifest, two.manifest)
	one.put(t, s, mustParse(t, "localhost/b:v1"))
	if err := s.PutManifest(t.Context(), mustParse(t, "localhost/a:v1"), index); err != nil {
		t.Fatal(err) // two is missing: a sparse index
	}
	if err := s.Tag(t.Context(), mustParse(t, "localhost/b:v1"), mustParse(t, "localhost/c:v2")); err != nil {
		t.Fatal(err)
	}
	list, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(one.manifest.Bytes) + len(one.config) + len(one.layer))
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	want := []StoredImage{
		{Reference: mustParse(t, "localhost/a:v1"), Size: size + int64(len(index.Bytes)), Created: created},
		{Reference: mustParse(t, "localhost/b:v1"), Size: size, Created: created},
		{Reference: mustParse(t, "localhost/c:v2"), Size: size, Created: created},
	}
	if len(list) != len(want) {
		t.Fatalf("got %+v", list)
	}
	for i, w := range want {
		if g := list[i]; g.Reference != w.Reference || g.Size != w.Size || !g.Created.Equal(w.Created) {
			t.Errorf("got %+v, want %+v", g, w)
		}
	}
}

func TestTagErrors(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	if err := s.Tag(t.Context(), ref, mustParse(t, "localhost/b:v1")); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	newImage(t, "a", nil).put(t, s, ref)
	if err := s.Tag(t.Context(), ref, ref.WithDigest(someDigest)); !errors.Is(err, ErrReference) {
		t.Errorf("got %v, want ErrReference", err)
	}
}

func TestManifestNeedsItsBlobs(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	im := newImage(t, "a", nil)
	if err := s.PutManifest(t.Context(), mustParse(t, "localhost/a:v1"), im.manifest); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestRemove(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	a, b := mustParse(t, "localhost/a:v1"), mustParse(t, "localhost/b:v1")
	shared := newImage(t, "shared", nil)
	own := newImage(t, "own", func(m *ocispec.Manifest) { m.Layers = append(m.Layers, shared.descs[1]) })
	shared.put(t, s, b)
	own.put(t, s, a)
	sig := referrerOf(t, own.manifest, "signature")
	sig.put(t, s, a.WithDigest(sig.manifest.Descriptor.Digest.String()))
	sigOfSig := referrerOf(t, sig.manifest, "signature of the signature")
	sigOfSig.put(t, s, a.WithDigest(sigOfSig.manifest.Descriptor.Digest.String()))
	kept := referrerOf(t, shared.manifest, "other signature")
	kept.put(t, s, b.WithDigest(kept.manifest.Descriptor.Digest.String()))
	young := describe("", []byte("just being copied"))
	if err := s.PutBlob(t.Context(), a, young, []byte("just being copied"), ""); err != nil {
		t.Fatal(err)
	}

	if err := s.Remove(t.Context(), a.WithTag("v2")); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if err := s.Remove(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	want := map[digest.Digest]bool{young.Digest: true}
	for _, im := range []testImage{shared, kept} {
		for _, d := range []digest.Digest{im.descs[0].Digest, im.descs[1].Digest, im.manifest.Descriptor.Digest} {
			want[d] = true
		}
	}
	if got := blobFiles(t, s); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got blobs %v, want %v", got, want)
	}
	shared.check(t, s, b)
	if list, err := s.Referrers(t.Context(), b.WithDigest(shared.manifest.Descriptor.Digest.String())); err != nil || len(list) != 1 {
		t.Errorf("got referrers %v, %v", list, err)
	}

	// Hours later the abandoned blob goes too, and a digest removes all its tags.
	s.now = func() time.Time { return time.Now().Add(2 * leftoverAge) }
	if err := s.Tag(t.Context(), b, b.WithTag("v2")); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), b.WithDigest(shared.manifest.Descriptor.Digest.String())); err != nil {
		t.Fatal(err)
	}
	if got := blobFiles(t, s); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	im := newImage(t, "a", nil)
	im.put(t, s, mustParse(t, "localhost/a:v1"))
	old, fresh := filepath.Join(s.dir, "tmp", "write-old"), filepath.Join(s.dir, "tmp", "write-new")
	for _, path := range []string{old, fresh} {
		if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	past := time.Now().Add(-2 * leftoverAge)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	im.put(t, s, mustParse(t, "localhost/a:v2"))
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old file is still there: %v", err)
	}
	if _, err := os.Stat(fresh); err != nil {
		t.Errorf("the file of a live writer is gone: %v", err)
	}
}

func TestLockWaitEndsWithContext(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockFile(t.Context(), filepath.Join(s.dir, ".lock"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	ref := mustParse(t, "localhost/a:v1")
	im := newImage(t, "a", nil)
	if err := im.tryPut(ctx, s, ref); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	im.put(t, s, ref)
}

func TestStoreNotWritable(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	if err := os.WriteFile(s.dir, nil, 0o600); err != nil { // taken since it was opened
		t.Fatal(err)
	}
	im := newImage(t, "a", nil)
	err := s.PutBlob(t.Context(), mustParse(t, "localhost/a:v1"), im.descs[1], im.layer, "")
	if err == nil || !strings.Contains(err.Error(), s.dir) {
		t.Errorf("got %v, want an error naming %s", err, s.dir)
	}
	denied := s.cannotWrite(os.ErrPermission)
	if !errors.Is(denied, os.ErrPermission) || !strings.Contains(denied.Error(), "BPFIMG_ROOT") {
		t.Errorf("got %v", denied)
	}
}
