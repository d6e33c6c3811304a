// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// junkReferrers are n well-formed entries.
func junkReferrers(from, n int) []ocispec.Descriptor {
	var list []ocispec.Descriptor
	for i := range n {
		list = append(list, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(from + i)), Size: 10})
	}
	return list
}

func sendIndex(w http.ResponseWriter, list []ocispec.Descriptor) {
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	_ = json.NewEncoder(w).Encode(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: list})
}

func TestReferrersLimits(t *testing.T) {
	t.Parallel()
	endless := func(perPage int) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Link", fmt.Sprintf(`<%s?page=x%s>; rel="next"`, req.URL.Path, req.URL.RawQuery))
			sendIndex(w, junkReferrers(len(req.URL.RawQuery), perPage))
		}
	}
	bad := []ocispec.Descriptor{
		{MediaType: ocispec.MediaTypeImageManifest, Digest: "sha256:short", Size: 1},
		{MediaType: ocispec.MediaTypeImageManifest, Digest: someDigest, Size: -1},
		{MediaType: ocispec.MediaTypeImageManifest, Digest: someDigest, Size: MaxManifest + 1},
		{MediaType: "text/html", Digest: someDigest, Size: 1},
	}
	tests := []struct {
		name           string
		serve          http.HandlerFunc
		want, requests int
	}{
		{"one request when there is the API", func(w http.ResponseWriter, _ *http.Request) { sendIndex(w, junkReferrers(0, 2)) }, 2, 1},
		{"too many", func(w http.ResponseWriter, _ *http.Request) { sendIndex(w, junkReferrers(0, 1000)) }, MaxReferrers, 1},
		{"endless pages", endless(1), maxReferrerPages, maxReferrerPages},
		{"endless full pages", endless(60), MaxReferrers, 2},
		{"bad ones hide no good one", func(w http.ResponseWriter, _ *http.Request) {
			sendIndex(w, slices.Concat(bad, bad, junkReferrers(0, 1), junkReferrers(0, 1)))
		}, 1, 1},
		{"next page elsewhere", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `<http://thief.example/>; rel="next"`)
			sendIndex(w, junkReferrers(0, 1))
		}, 1, 1},
		{"web page instead of an API", func(w http.ResponseWriter, req *http.Request) {
			if strings.Contains(req.URL.Path, "/manifests/") {
				w.WriteHeader(http.StatusNotFound)
			}
			fmt.Fprint(w, "<html>")
		}, 0, 2},
	}
	for _, tt := range tests {
		host, rec := serve(t, answer(tt.serve))
		list, err := testClient(t, RegistryOptions{}).Referrers(t.Context(), mustParse(t, host+"/a@"+someDigest))
		if err != nil || len(list) != tt.want {
			t.Errorf("%s: got %d referrers, %v, want %d", tt.name, len(list), err, tt.want)
		}
		if got := len(rec.requests("/a/")); got != tt.requests {
			t.Errorf("%s: got %d requests, want %d", tt.name, got, tt.requests)
		}
	}
}

// TestFallbackTagKeepsEntries: entries of others, and all that is said of ours,
// survive updates; concurrent writers lose none.
func TestFallbackTagKeepsEntries(t *testing.T) {
	t.Parallel()
	host, _ := newRegistryServer(t, false)
	ref := mustParse(t, host+"/a:v1")
	r := testClient(t, RegistryOptions{})
	im := newImage(t, "subject", nil)
	im.put(t, r, ref)
	subject := ref.WithDigest(im.manifest.Descriptor.Digest.String())

	const writers = 8
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			sig := referrerOf(t, im.manifest, fmt.Sprint(i))
			if err := sig.tryPut(t.Context(), r, ref.WithDigest(sig.manifest.Descriptor.Digest.String())); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := r.Referrers(t.Context(), subject)
	if err != nil || len(list) != writers {
		t.Fatalf("got %d referrers, %v, want %d", len(list), err, writers)
	}
	seeds := map[string]bool{}
	for _, desc := range list {
		if desc.ArtifactType != "application/vnd.test.signature" {
			t.Errorf("the artifactType is lost: %+v", desc)
		}
		seeds[desc.Annotations["seed"]] = true
	}
	if len(seeds) != writers {
		t.Errorf("annotations are lost: %v", seeds)
	}
}

// TestFallbackTagOverwritten: another process that read the tag before we wrote it,
// and writes it after, takes nothing away.
func TestFallbackTagOverwritten(t *testing.T) {
	t.Parallel()
	im := newImage(t, "subject", nil)
	theirs, ours := referrerOf(t, im.manifest, "theirs"), referrerOf(t, im.manifest, "ours")
	synctest.Test(t, func(t *testing.T) {
		registry, err := testregistry.New(testregistry.Options{NoReferrers: true})
		if err != nil {
			t.Fatal(err)
		}
		var written [][]byte
		tag := "/manifests/sha256-" + im.manifest.Descriptor.Digest.Encoded()
		put := func(path string, data []byte) {
			req := httptest.NewRequest(http.MethodPut, path, bytes.NewReader(data))
			req.Header.Set("Content-Type", ocispec.MediaTypeImageIndex)
			registry.ServeHTTP(httptest.NewRecorder(), req)
		}
		r := testClient(t, RegistryOptions{Retry: Retry{Delay: time.Second}, Transport: testregistry.InProcess(
			http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Method != http.MethodPut || !strings.HasSuffix(req.URL.Path, tag) {
					registry.ServeHTTP(w, req)
					return
				}
				data, _ := io.ReadAll(req.Body) // in memory
				put(req.URL.Path, data)
				if written = append(written, data); len(written) == 2 { // with ours added
					time.AfterFunc(100*time.Millisecond, func() { put(req.URL.Path, written[0]) })
				}
				w.WriteHeader(http.StatusCreated)
			}))})
		ref := mustParse(t, "localhost:1/a:v1")
		im.put(t, r, ref)
		for _, sig := range []testImage{theirs, ours} {
			sig.put(t, r, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
		}
		time.Sleep(time.Minute) // of a synctest bubble: whatever comes, has come
		list, err := r.Referrers(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String()))
		if err != nil || len(list) != 2 {
			t.Errorf("got %d referrers, %v, want both", len(list), err)
		}
	})
}

// TestFallbackTagOfAnotherKind is refused rather than overwritten.
func TestFallbackTagOfAnotherKind(t *testing.T) {
	t.Parallel()
	host, _ := newRegistryServer(t, false)
	ref := mustParse(t, host+"/a:v1")
	r := testClient(t, RegistryOptions{})
	im := newImage(t, "subject", nil)
	im.put(t, r, ref)
	subject := ref.WithDigest(im.manifest.Descriptor.Digest.String())
	im.put(t, r, fallbackTag(subject))
	if _, err := r.Referrers(t.Context(), subject); err == nil {
		t.Error("an image was taken for a list of referrers")
	}
	sig := referrerOf(t, im.manifest, "x")
	if err := sig.tryPut(t.Context(), r, ref.WithDigest(sig.manifest.Descriptor.Digest.String())); err == nil {
		t.Error("the foreign tag was overwritten")
	}
}

func FuzzNewManifest(f *testing.F) {
	im := newImage(f, "fuzz", nil)
	f.Add(im.manifest.Bytes, im.manifest.Descriptor.MediaType)
	f.Add(newIndex(f, im.manifest).Bytes, "application/json")
	f.Add([]byte(`{"config":{},"manifests":[null]}`), "")
	f.Add([]byte(`{"mediaType":1}`), "text/html; x")
	f.Fuzz(func(t *testing.T, data []byte, declared string) {
		m, err := newManifest(data, declared, "")
		if err != nil {
			return
		}
		if kindOf(m.Descriptor.MediaType) == kindUnknown || checkContent(m.Bytes, m.Descriptor) != nil {
			t.Fatalf("%q as %q became %+v", data, declared, m.Descriptor)
		}
		if kindOf(m.Descriptor.MediaType) == kindImage {
			_, _ = blobsOf(m) // must not panic
		}
	})
}

func FuzzNextPage(f *testing.F) {
	f.Add(`</v2/a/referrers/x?n=1>; rel="next"`)
	f.Add(`<//thief/>; rel=next`)
	f.Add(`<:>; rel=next`)
	f.Fuzz(func(t *testing.T, link string) {
		from := mustURL(t, "https://ghcr.io/v2/a/referrers/x")
		if to := nextPage(from, []string{link}); to != nil && (to.Host != from.Host || to.Scheme != from.Scheme) {
			t.Fatalf("%q leads to %s", link, to)
		}
	})
}
