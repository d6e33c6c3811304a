// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
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
	t.Parallel()
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
	t.Parallel()
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

// meant notes which hosts were asked, and which were sent forms.
type meant struct {
	inner http.RoundTripper
	mu    sync.Mutex
	hosts []string
	forms []string
}

func (m *meant) RoundTrip(req *http.Request) (*http.Response, error) {
	m.mu.Lock()
	m.hosts = append(m.hosts, req.URL.Host)
	if req.Method == http.MethodPost {
		m.forms = append(m.forms, req.URL.Host)
	}
	m.mu.Unlock()
	return m.inner.RoundTrip(req)
}

// TestHandshakeStaysOutside: what holds for redirects of an image holds for those
// of the first request and for token servers too.
func TestHandshakeStaysOutside(t *testing.T) {
	t.Parallel()
	challenge := func(realm string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	redirect := func(to string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, to, http.StatusTemporaryRedirect)
		}
	}
	tests := []struct {
		name            string
		registry, token http.HandlerFunc
		victim          string
	}{
		{"the first request, to plain http here", redirect("http://127.0.0.1:8500/v1/agent"), nil, "127.0.0.1:8500"},
		{"the first request, to TLS here", redirect("https://localhost/secret"), nil, "localhost"},
		{"the first request, to the metadata service", redirect("https://169.254.169.254/latest"), nil, "169.254.169.254"},
		{"a token server here", challenge("https://localhost/token"), nil, "localhost"},
		{"a token server by an odd number", challenge("https://2130706433/token"), nil, "2130706433"},
		{"a token server that redirects here", challenge("https://token.example/token"), redirect("https://localhost/token"), "localhost"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Host == "token.example" {
					tt.token(w, req)
					return
				}
				tt.registry(w, req)
			}))
			t.Cleanup(server.Close)
			asked := &meant{inner: dialTo(strings.TrimPrefix(server.URL, "https://"))}
			_, err := testClient(t, RegistryOptions{Transport: asked}).Manifest(t.Context(), mustParse(t, "registry.example/a:v1"))
			if err == nil || slices.Contains(asked.hosts, tt.victim) {
				t.Errorf("got %v; asked were %q", err, asked.hosts)
			}
		})
	}
}

// TestIdentityTokenStaysHome: an identity token is in a request's body, which a
// redirect would take along.
func TestIdentityTokenStaysHome(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch req.Host {
		case "token.example":
			http.Redirect(w, req, "https://thief.example/token", http.StatusTemporaryRedirect)
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://token.example/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	asked := &meant{inner: dialTo(strings.TrimPrefix(server.URL, "https://"))}
	_, err := testClient(t, RegistryOptions{Transport: asked, Keychain: identity{}}).Manifest(t.Context(), mustParse(t, "registry.example/a:v1"))
	if err == nil || slices.Contains(asked.forms, "thief.example") || !slices.Contains(asked.forms, "token.example") {
		t.Errorf("got %v; forms went to %q", err, asked.forms)
	}
}

// identity gives every registry an identity token.
type identity struct{}

func (identity) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(authn.AuthConfig{IdentityToken: secret}), nil
}
