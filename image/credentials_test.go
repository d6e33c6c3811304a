// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/google/go-containerregistry/pkg/authn"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const secret = "open-sesame"

// keys gives the same credentials to one registry only.
type keys string

func (k keys) Resolve(r authn.Resource) (authn.Authenticator, error) {
	if r.RegistryStr() != string(k) {
		return authn.Anonymous, nil
	}
	return &authn.Basic{Username: "user", Password: secret}, nil
}

func basicHeader() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+secret))
}

// carriesSecret says whether a request had any form of the credentials.
func (r *recorder) carriesSecret() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, header := range r.auth {
		if header != "" {
			return true
		}
	}
	return false
}

func TestBasicCredentials(t *testing.T) {
	t.Parallel()
	im := newImage(t, "basic", nil)
	host, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != basicHeader() {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		sendManifest(w, im.manifest)
	}))
	ref := mustParse(t, host+"/a:v1")
	if _, err := testClient(t, RegistryOptions{Keychain: keys(host)}).Manifest(t.Context(), ref); err != nil {
		t.Error(err)
	}
	_, err := testClient(t, RegistryOptions{Keychain: keys("elsewhere")}).Manifest(t.Context(), ref)
	if !errors.Is(err, ErrUnauthorized) {
		t.Errorf("without credentials: got %v, want ErrUnauthorized", err)
	}
}

// TestTokenServer: a bearer challenge is answered at the realm, once.
func TestTokenServer(t *testing.T) {
	t.Parallel()
	im := newImage(t, "token", nil)
	var host string
	host, rec := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/token" && req.Header.Get("Authorization") == basicHeader():
			fmt.Fprint(w, `{"token":"t"}`)
		case req.URL.Path == "/token":
			w.WriteHeader(http.StatusUnauthorized)
		case req.Header.Get("Authorization") != "Bearer t":
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+req.Host+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			sendManifest(w, im.manifest)
		}
	}))
	r := testClient(t, RegistryOptions{Keychain: keys(host)})
	for range 3 {
		if _, err := r.Manifest(t.Context(), mustParse(t, host+"/a:v1")); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(rec.requests("/token")); got != 1 {
		t.Errorf("got %d token requests, want 1", got)
	}
	_, err := testClient(t, RegistryOptions{}).Manifest(t.Context(), mustParse(t, host+"/a:v1"))
	if !errors.Is(err, ErrUnauthorized) {
		t.Errorf("got %v, want ErrUnauthorized", err)
	}
}

// TestHostileRealm: a challenge that points elsewhere gets no credentials.
func TestHostileRealm(t *testing.T) {
	t.Parallel()
	thief, stolen := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"token":"t"}`) }))
	realms := map[string]string{
		"another loopback host":   "http://127.0.0.2:1/token",
		"another private address": "https://10.0.0.1/token",
		"plain http elsewhere":    "http://thief.example/token",
		"the metadata service":    "http://169.254.169.254/token",
		"an odd spelling of it":   "http://2130706433/token",
		"another scheme":          "file:///etc/passwd",
		"another scheme with a @": "gopher://user@" + thief + "/token",
	}
	for name, realm := range realms {
		host, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="s"`, realm))
			w.WriteHeader(http.StatusUnauthorized)
		}))
		_, err := testClient(t, RegistryOptions{Keychain: keys(host)}).Manifest(t.Context(), mustParse(t, host+"/a:v1"))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: got %v", name, err)
		}
		if stolen.carriesSecret() {
			t.Errorf("%s: the credentials were sent", name)
		}
	}
}

// TestTokenAnswerStaysSecret: what a token server says never gets into errors.
func TestTokenAnswerStaysSecret(t *testing.T) {
	t.Parallel()
	host, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/token" {
			fmt.Fprintf(w, `{"refresh_token":%q}`, secret)
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+req.Host+`/token?account=`+secret+`"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	_, err := testClient(t, RegistryOptions{Keychain: keys(host)}).Manifest(t.Context(), mustParse(t, host+"/a:v1"))
	if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "sent no token") {
		t.Errorf("got %v", err)
	}
}

// TestRedirectCarriesNoCredentials: storage elsewhere gets the request only.
func TestRedirectCarriesNoCredentials(t *testing.T) {
	t.Parallel()
	data := []byte("blob")
	storage, seen := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }))
	host, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != basicHeader() {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, req, "http://"+storage+"/x?signature="+secret, http.StatusTemporaryRedirect)
	}))
	got, err := testClient(t, RegistryOptions{Keychain: keys(host)}).Blob(t.Context(), mustParse(t, host+"/a:v1"), describe("", data), 100)
	if err != nil || string(got) != string(data) {
		t.Fatalf("got %q, %v", got, err)
	}
	if seen.carriesSecret() {
		t.Error("the storage got the registry's credentials")
	}
}

// TestRedirectErrorsHideURL: signed URLs are secrets too.
func TestRedirectErrorsHideURL(t *testing.T) {
	t.Parallel()
	host, _ := serve(t, answer(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, "http://127.0.0.1:1/x?signature="+secret, http.StatusTemporaryRedirect)
	}))
	_, err := testClient(t, RegistryOptions{}).Blob(t.Context(), mustParse(t, host+"/a:v1"), ocispec.Descriptor{Digest: someDigest}, 100)
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("got %v", err)
	}
}

func TestRedirectPolicy(t *testing.T) {
	t.Parallel()
	tests := []struct {
		from, to string
		ok       bool
	}{
		{"https://ghcr.io/a", "https://storage.example/x", true},
		{"https://ghcr.io/a", "https://ghcr.io/x", true},
		{"https://ghcr.io/a", "http://storage.example/x", false},
		{"https://ghcr.io/a", "https://127.0.0.1/x", false},
		{"https://ghcr.io/a", "https://localhost/x", false},
		{"https://ghcr.io/a", "https://[::ffff:127.0.0.1]/x", false},
		{"https://ghcr.io/a", "https://10.1.2.3/x", false},
		{"https://ghcr.io/a", "https://169.254.169.254/x", false},
		{"https://ghcr.io/a", "https://0x7f000001/x", false},
		{"https://ghcr.io/a", "https://127.1/x", false},
		{"https://10.0.0.1/a", "https://10.0.0.2/x", true},
		{"https://10.0.0.1/a", "https://169.254.169.254/x", false},
		{"http://localhost:5000/a", "http://localhost:9000/x", true},
		{"http://localhost:5000/a", "http://127.0.0.1:9000/x", true},
	}
	for _, tt := range tests {
		from, to := &http.Request{URL: mustURL(t, tt.from)}, &http.Request{URL: mustURL(t, tt.to)}
		if err := checkRedirect(to, []*http.Request{from}); (err == nil) != tt.ok {
			t.Errorf("%s to %s: got %v, want ok %t", tt.from, tt.to, err, tt.ok)
		}
	}
}

func TestRedirectLoopEnds(t *testing.T) {
	t.Parallel()
	host, rec := serve(t, answer(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, req.URL.Path+"x", http.StatusTemporaryRedirect)
	}))
	_, err := testClient(t, RegistryOptions{}).Manifest(t.Context(), mustParse(t, host+"/a:v1"))
	if err == nil || len(rec.requests("")) > maxRequests {
		t.Errorf("got %v after %d requests", err, len(rec.requests("")))
	}
	im := newImage(t, "loop", nil)
	err = testClient(t, RegistryOptions{}).PutBlob(t.Context(), mustParse(t, host+"/a:v1"), im.descs[1], im.layer, "")
	if err == nil || len(rec.requests("")) > 3*maxRequests {
		t.Errorf("upload: got %v after %d requests", err, len(rec.requests("")))
	}
}

// TestRequestsOfOneOperation: a registry that sends us on and wants another login each
// time, from a token server that sends us on too, stays below every limit on redirects.
func TestRequestsOfOneOperation(t *testing.T) {
	t.Parallel()
	var (
		mu       sync.Mutex
		requests int
		login    bool // a token was given and has not been used yet
	)
	r := testClient(t, RegistryOptions{Transport: testregistry.InProcess(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests++
		sendOn := func() { http.Redirect(w, req, req.URL.Path+"x", http.StatusTemporaryRedirect) }
		switch token := strings.HasPrefix(req.URL.Path, "/token"); {
		case token && len(req.URL.Path) < len("/tokenxxxxxxxx"):
			sendOn()
		case token:
			login = true
			fmt.Fprint(w, `{"token":"t"}`)
		case login:
			login = false
			sendOn()
		default:
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+req.Host+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))})
	_, err := r.Manifest(t.Context(), mustParse(t, "localhost:1/a:v1"))
	if want := fmt.Sprintf("stopped after %d requests", maxRequests); err == nil || !strings.Contains(err.Error(), want) || requests != maxRequests {
		t.Errorf("got %v after %d requests, want %q", err, requests, want)
	}
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
