// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// oneImage is a source of one image that counts what is read.
type oneImage struct {
	im               testImage
	manifests, blobs atomic.Int32
	// before, if set, is called before each read and may make it fail.
	before func() error
}

func (o *oneImage) read() error {
	if o.before == nil {
		return nil
	}
	return o.before()
}

func (o *oneImage) Manifest(context.Context, Reference) (Manifest, error) {
	o.manifests.Add(1)
	return o.im.manifest, o.read()
}

func (o *oneImage) Blob(_ context.Context, _ Reference, desc ocispec.Descriptor, _ int64) ([]byte, error) {
	o.blobs.Add(1)
	if err := o.read(); err != nil {
		return nil, err
	}
	if desc.Digest == o.im.descs[0].Digest {
		return o.im.config, nil
	}
	return o.im.layer, nil
}

func (o *oneImage) Referrers(context.Context, Reference) ([]ocispec.Descriptor, error) {
	return nil, nil
}

// leftovers are the files in tmp/.
func leftovers(t *testing.T, s *Store) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(s.dir + "/tmp")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// TestShareFetchesOnce: many readers, through several values as processes have
// them, one fetch; and nothing is left in tmp/ once the image is kept.
func TestShareFetchesOnce(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	im := newImage(t, "shared", nil)
	src := &oneImage{im: im}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			other := openStore(t, s.dir)
			shared := other.Share(src, ShareOptions{})
			at := ref.WithDigest(im.manifest.Descriptor.Digest.String())
			if m, err := shared.Manifest(t.Context(), at); err != nil || m.Descriptor.MediaType != im.manifest.Descriptor.MediaType {
				t.Errorf("got %v, %v", m.Descriptor, err)
			}
			if _, err := Copy(t.Context(), other, at, shared, at, CopyOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if m, b := src.manifests.Load(), src.blobs.Load(); m != 1 || b != 2 {
		t.Errorf("%d manifests and %d blobs were fetched, want 1 and 2", m, b)
	}
	im.check(t, s, ref.WithDigest(im.manifest.Descriptor.Digest.String()))
	if left := leftovers(t, s); len(left) != 0 {
		t.Errorf("left in tmp/: %v", left)
	}
}

// TestShareTagsAreNotShared: what can change is asked of the registry each time.
func TestShareTagsAreNotShared(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	src := &oneImage{im: newImage(t, "tag", nil)}
	for range 2 {
		if _, err := s.Share(src, ShareOptions{}).Manifest(t.Context(), mustParse(t, "localhost/a:v1")); err != nil {
			t.Fatal(err)
		}
	}
	if got := src.manifests.Load(); got != 2 {
		t.Errorf("the tag was read %d times, want 2", got)
	}
}

// TestShareFailure: a failed download is the next one's to try, whose error is
// its own; a store that cannot be written shares nothing and fails nothing.
func TestShareFailure(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	src := &oneImage{im: newImage(t, "failure", nil)}
	broken := errors.New("broken")
	src.before = func() error { return broken }
	shared := s.Share(src, ShareOptions{})
	for range 2 {
		if _, err := shared.Blob(t.Context(), ref, src.im.descs[1], MaxLayer); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
	if left := leftovers(t, s); src.blobs.Load() != 2 || len(left) != 0 {
		t.Errorf("%d fetches, left in tmp/: %v", src.blobs.Load(), left)
	}
	src.before = nil
	s.step = func(string) error { return broken }
	for range 2 {
		if _, err := shared.Blob(t.Context(), ref, src.im.descs[1], MaxLayer); err != nil {
			t.Error(err)
		}
	}
	if left := leftovers(t, s); len(left) != 0 {
		t.Errorf("left in tmp/: %v", left)
	}
}

// TestShareWaitEnds: who waits hears why, and gives up with its context.
func TestShareWaitEnds(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	src := &oneImage{im: newImage(t, "wait", nil)}
	started, release := make(chan struct{}), make(chan struct{})
	src.before = func() error {
		close(started)
		<-release
		return nil
	}
	layer := src.im.descs[1]
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Share(src, ShareOptions{}).Blob(t.Context(), ref, layer, MaxLayer); err != nil {
			t.Error(err)
		}
	})
	<-started
	ctx, cancel := context.WithCancel(t.Context())
	shared := &sharedSource{store: s, src: src, patience: time.Millisecond, waiting: func(_ Reference, d digest.Digest) {
		if d != layer.Digest {
			t.Errorf("waiting for %s", d)
		}
		cancel()
	}}
	_, err := shared.Blob(ctx, ref, layer, MaxLayer)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "another process") || !strings.Contains(err.Error(), layer.Digest.String()) {
		t.Errorf("got %v", err)
	}
	close(release)
	wg.Wait()
}

// TestShareSaysNothingLater: what is said of waiting is said before the wait ends.
func TestShareSaysNothingLater(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	src := &oneImage{im: newImage(t, "late", nil)}
	layer := src.im.descs[1]
	if err := s.prepare(); err != nil {
		t.Fatal(err)
	}
	unlock, err := lockShared(t.Context(), s.sharedPath(layer.Digest)+".lock")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var returned atomic.Bool
		shared := &sharedSource{store: s, src: src, patience: sharePatience, waiting: func(Reference, digest.Digest) {
			cancel()
			synctest.Wait() // until who waited has returned, or waits for this
			if returned.Load() {
				t.Error("it returned before this was said")
			}
		}}
		if _, err := shared.Blob(ctx, ref, layer, MaxLayer); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		returned.Store(true)
	})
}

// TestShareDamagedFile: what waits in tmp/ is hashed like everything else.
func TestShareDamagedFile(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	src := &oneImage{im: newImage(t, "damaged", nil)}
	layer := src.im.descs[1]
	shared := s.Share(src, ShareOptions{})
	if _, err := shared.Blob(t.Context(), ref, layer, MaxLayer); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.sharedPath(layer.Digest), []byte(strings.Repeat("x", int(layer.Size))), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.adopt(layer) {
		t.Error("damaged content was kept")
	}
	if data, err := shared.Blob(t.Context(), ref, layer, MaxLayer); err != nil || string(data) != string(src.im.layer) {
		t.Errorf("got %q, %v", data, err)
	}
}

// TestShareRefusedImagesGo: what is downloaded and never kept is removed.
func TestShareRefusedImagesGo(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	src := &oneImage{im: newImage(t, "refused", nil)}
	if _, err := s.Share(src, ShareOptions{}).Blob(t.Context(), ref, src.im.descs[1], MaxLayer); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, s); len(left) != 1 {
		t.Fatalf("left in tmp/: %v", left)
	}
	s.now = func() time.Time { return time.Now().Add(leftoverAge + time.Minute) }
	newImage(t, "another", nil).put(t, s, ref)
	if left := leftovers(t, s); len(left) != 0 {
		t.Errorf("left in tmp/: %v", left)
	}
}
