// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"io"
	"log"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// TestManifestUnless: what a registry is asked about a tag whose manifest is known.
func TestManifestUnless(t *testing.T) {
	t.Parallel()
	old, moved := newImage(t, "old", nil), newImage(t, "new", nil)
	edit := func(change func(w http.ResponseWriter, req *http.Request) bool) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Method == http.MethodHead && strings.Contains(req.URL.Path, "/manifests/") && change(w, req) {
					return
				}
				h.ServeHTTP(w, req)
			})
		}
	}
	header := func(code int, digest string) func(http.Handler) http.Handler {
		return edit(func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set(headerDigest, digest)
			w.WriteHeader(code)
			return true
		})
	}
	plain := func(h http.Handler) http.Handler { return h }
	for name, tt := range map[string]struct {
		there testImage
		wrap  func(http.Handler) http.Handler
		asks  []string
	}{
		"unmoved":                   {old, plain, []string{"HEAD"}},
		"moved":                     {moved, plain, []string{"HEAD", "GET"}},
		"HEAD is not known":         {old, header(http.StatusMethodNotAllowed, ""), []string{"HEAD", "GET"}},
		"HEAD answers 404":          {moved, header(http.StatusNotFound, ""), []string{"HEAD", "GET"}},
		"HEAD brings no digest":     {moved, header(200, ""), []string{"HEAD", "GET"}},
		"HEAD brings another word":  {moved, header(200, "sha256:"+strings.Repeat("0", 64)), []string{"HEAD", "GET"}},
		"an error that has the old": {moved, header(503, old.manifest.Descriptor.Digest.String()), []string{"HEAD", "GET"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var wrapped http.Handler = http.NotFoundHandler()
			host, requests := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) { wrapped.ServeHTTP(w, req) }))
			inner := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
			wrapped = inner
			ref := mustParse(t, host+"/a:v1")
			tt.there.put(t, testClient(t, RegistryOptions{}), ref)
			wrapped = tt.wrap(inner)
			requests.reset()
			m, err := testClient(t, RegistryOptions{Retry: Retry{Attempts: 1, Delay: time.Millisecond}}).ManifestUnless(t.Context(), ref, old.manifest)
			want := tt.there.manifest
			if len(tt.asks) == 1 {
				want = old.manifest
			}
			if err != nil || m.Descriptor.Digest != want.Descriptor.Digest || string(m.Bytes) != string(want.Bytes) {
				t.Errorf("got %+v, %v, want %s", m.Descriptor, err, want.Descriptor.Digest)
			}
			var asked []string
			for _, request := range requests.requests("/manifests/") {
				method, _, _ := strings.Cut(request, " ")
				asked = append(asked, method)
			}
			if !slices.Equal(asked, tt.asks) {
				t.Errorf("asked %q, want %q", asked, tt.asks)
			}
		})
	}
}

// TestManifestUnlessGone: a tag that is gone is gone, whatever is known.
func TestManifestUnlessGone(t *testing.T) {
	t.Parallel()
	host, _ := newRegistryServer(t, true)
	_, err := testClient(t, RegistryOptions{}).ManifestUnless(t.Context(), mustParse(t, host+"/a:v1"), newImage(t, "old", nil).manifest)
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}
