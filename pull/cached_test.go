// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// stored is a signed image that is also in a local store below dir, and a
// recorder of what its registry is asked from then on.
func stored(t *testing.T) (k *kit, store *image.Store, dir string, recorder *testregistry.Recorder) {
	t.Helper()
	k, m := signed(t)
	k.refer(m, schemas.MediaTypeBundle, "signature")
	dir = t.TempDir()
	store, err := image.OpenStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.Copy(t.Context(), store, k.ref, k.src, k.ref, image.CopyOptions{Referrers: true}); err != nil {
		t.Fatal(err)
	}
	recorder = &testregistry.Recorder{}
	k.src = source(t, recorder.Wrap(k.registry))
	return k, store, dir, recorder
}

func TestCachedAsksTheRegistryForNamesOnly(t *testing.T) {
	t.Parallel()
	k, store, _, recorder := stored(t)
	img, err := Fetch(t.Context(), &Cached{Local: store, Remote: k.src}, k.ref, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if bundlesOf(img.Candidates) != "signature" {
		t.Errorf("got %+v", img.Candidates)
	}
	if n := recorder.Count("GET", "/blobs/"); n != 0 {
		t.Errorf("%d blobs were fetched: %+v", n, recorder.Calls())
	}
	// The tag, and the two legacy tags that are not there.
	if n := recorder.Count("GET", "/manifests/"); n != 3 || recorder.Count("GET", "/referrers/") != 1 {
		t.Errorf("%d manifests were fetched: %+v", n, recorder.Calls())
	}
}

func TestCachedOffline(t *testing.T) {
	t.Parallel()
	_, store, _, _ := stored(t)
	k := newKit(t, testregistry.Options{})
	offline := &Cached{Local: store, Remote: unreachable{}, Offline: true}
	img, err := Fetch(t.Context(), offline, k.ref, Options{})
	if err != nil || bundlesOf(img.Candidates) != "signature" {
		t.Fatalf("got %+v (%v)", img, err)
	}
	if _, err := Fetch(t.Context(), offline, k.ref.WithTag("v2"), Options{}); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// unreachable fails whatever it is asked.
type unreachable struct{}

var errUnreachable = errors.New("the network must not be used")

func (unreachable) Manifest(context.Context, image.Reference) (image.Manifest, error) {
	return image.Manifest{}, errUnreachable
}

func (unreachable) Blob(context.Context, image.Reference, ocispec.Descriptor, int64) ([]byte, error) {
	return nil, errUnreachable
}

func (unreachable) Referrers(context.Context, image.Reference) ([]ocispec.Descriptor, error) {
	return nil, errUnreachable
}

// Whatever is altered in or missing from the store is fetched again; offline,
// that is an error.
func TestCachedFetchesAgain(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(string) error{
		"altered": func(path string) error {
			data, err := os.ReadFile(path)
			if err == nil {
				data[0] ^= 1
				err = os.WriteFile(path, data, 0o644)
			}
			return err
		},
		"truncated": func(path string) error { return os.WriteFile(path, nil, 0o644) },
		"missing":   os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			k, store, dir, recorder := stored(t)
			blobs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
			if err != nil || len(blobs) < 4 {
				t.Fatalf("the store holds %v (%v)", blobs, err)
			}
			for _, path := range blobs {
				if err := os.Chmod(path, 0o644); err != nil {
					t.Fatal(err)
				}
				if err := damage(path); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Fetch(t.Context(), &Cached{Local: store, Remote: unreachable{}, Offline: true}, k.ref, Options{}); err == nil || errors.Is(err, errUnreachable) {
				t.Errorf("offline: got %v", err)
			}
			img, err := Fetch(t.Context(), &Cached{Local: store, Remote: k.src}, k.ref, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if bundlesOf(img.Candidates) != "signature" || string(img.Objects[0].Bytes) != "x" {
				t.Errorf("got %+v", img)
			}
			if n := recorder.Count("GET", "/blobs/"); n != 3 { // config, layer, bundle
				t.Errorf("%d blobs were fetched: %+v", n, recorder.Calls())
			}
		})
	}
}

// A limit of the caller is no reason to ask elsewhere.
func TestCachedKeepsLimits(t *testing.T) {
	t.Parallel()
	k, store, _, recorder := stored(t)
	c := &Cached{Local: store, Remote: k.src}
	big := ocispec.Descriptor{MediaType: "x", Digest: digest.FromString("x"), Size: 11}
	if _, err := c.Blob(t.Context(), k.ref, big, 10); !errors.Is(err, image.ErrTooLarge) || len(recorder.Calls()) != 0 {
		t.Errorf("got %v after %+v", err, recorder.Calls())
	}
}

func TestMemo(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	bundle := k.refer(m, schemas.MediaTypeBundle, "signature")
	recorder := &testregistry.Recorder{}
	memo := NewMemo(source(t, recorder.Wrap(k.registry)))
	for range 2 {
		img, err := Fetch(t.Context(), memo, k.ref, Options{})
		if err != nil || bundlesOf(img.Candidates) != "signature" {
			t.Fatalf("got %+v (%v)", img, err)
		}
	}
	for want, desc := range map[bool]ocispec.Descriptor{true: bundle, false: descriptor("x", []byte("never read"))} {
		if memo.Has(desc) != want {
			t.Errorf("Has(%s) is %v", desc.Digest, !want)
		}
	}
	// Keeping the image reads nothing twice either.
	store, err := image.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.Copy(t.Context(), store, k.ref, memo, k.ref, image.CopyOptions{Referrers: true, Have: memo.Has}); err != nil {
		t.Fatal(err)
	}
	for _, call := range recorder.Calls() {
		if n := recorder.Count(call.Method, call.Path); n != 1 && call.Path != "/v2/" && call.Status != 404 {
			t.Errorf("%s was asked for %d times", call.Path, n)
		}
	}
	if _, err := Fetch(t.Context(), store, k.ref, Options{}); err != nil {
		t.Error(err)
	}
}
