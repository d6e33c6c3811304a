// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// schemeRecorder notes how often each scheme was used.
type schemeRecorder struct {
	inner http.RoundTripper
	mu    sync.Mutex
	used  map[string]int
}

func (r *schemeRecorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.mu.Lock()
	r.used[req.URL.Scheme]++
	r.mu.Unlock()
	return r.inner.RoundTrip(req)
}

// TestLoopbackSkipsTLS: a connection is not wasted on https that nobody speaks.
func TestLoopbackSkipsTLS(t *testing.T) {
	im := newImage(t, "scheme", nil)
	host, _ := serve(t, answer(func(w http.ResponseWriter, _ *http.Request) { sendManifest(w, im.manifest) }))
	rec := &schemeRecorder{inner: newTransport(), used: map[string]int{}}
	if _, err := testClient(t, RegistryOptions{Transport: rec}).Manifest(t.Context(), mustParse(t, host+"/a:v1")); err != nil {
		t.Fatal(err)
	}
	if rec.used["https"] != 0 || rec.used["http"] != 2 {
		t.Errorf("got %v, want a ping and a manifest over http", rec.used)
	}
}

// TestRedirectIntoThisMachine: a registry elsewhere cannot make us ask services
// of this machine.
func TestRedirectIntoThisMachine(t *testing.T) {
	im := newImage(t, "ssrf", nil)
	_, victim := serve(t, http.NotFoundHandler())
	server := httptest.NewTLSServer(answer(func(w http.ResponseWriter, req *http.Request) {
		if req.Host != "registry.example" {
			victim.ServeHTTP(w, req)
			return
		}
		http.Redirect(w, req, "https://127.0.0.1/secret", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(server.Close)
	r := testClient(t, RegistryOptions{Transport: dialTo(strings.TrimPrefix(server.URL, "https://"))})
	_, err := r.Blob(t.Context(), mustParse(t, "registry.example/a:v1"), im.descs[1], MaxLayer)
	if err == nil || !strings.Contains(err.Error(), "refusing a redirect") || len(victim.requests("")) != 0 {
		t.Errorf("got %v and requests %v", err, victim.requests(""))
	}
}
