// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/google/go-containerregistry/pkg/authn"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// noTLS is a network without encryption, as [testregistry.InProcess] has none.
type noTLS struct{ inner http.RoundTripper }

func (n noTLS) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != "http" {
		return nil, errors.New("nobody speaks TLS here")
	}
	return n.inner.RoundTrip(req)
}

// TestPlainHTTPKeepsCredentials: the permission to talk to one registry in the clear
// is no permission to tell another host its credentials.
func TestPlainHTTPKeepsCredentials(t *testing.T) {
	t.Parallel()
	const own = "registry.example:5000"
	blob := []byte("blob")
	desc := describe("application/octet-stream", blob)
	manifest := func(t *testing.T, r *Registry) error {
		_, err := r.Manifest(t.Context(), mustParse(t, own+"/a:v1"))
		return err
	}
	download := func(t *testing.T, r *Registry) error {
		_, err := r.Blob(t.Context(), mustParse(t, own+"/a:v1"), desc, 100)
		return err
	}
	upload := func(t *testing.T, r *Registry) error {
		return r.PutBlob(t.Context(), mustParse(t, own+"/a:v1"), desc, blob, "")
	}
	referrers := func(t *testing.T, r *Registry) error {
		_, err := r.Referrers(t.Context(), mustParse(t, own+"/a@"+someDigest))
		return err
	}
	bearer := func(realm string) string { return fmt.Sprintf(`Bearer realm=%q,service="s"`, realm) }
	const basic = `Basic realm="test"`
	to := func(target string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, target, http.StatusTemporaryRedirect)
		}
	}
	rows := []struct {
		name      string
		challenge string
		keychain  authn.Keychain
		// answers is what the registry does once it is content with the login.
		answers http.HandlerFunc
		use     func(*testing.T, *Registry) error
		ok      bool // nothing secret is in the request, so that it may go
		alone   bool // nobody but the registry is asked at all
	}{
		{"token server elsewhere", bearer("http://thief.example/token"), keys(own), nil, manifest, false, true},
		{"token server at another name below it", bearer("http://auth.registry.example:5000/token"), keys(own), nil, manifest, false, true},
		{"token server elsewhere, identity token", bearer("http://thief.example/token"), identity{}, nil, manifest, false, true},
		{"token server sends elsewhere", bearer("http://" + own + "/away"), keys(own), nil, manifest, false, false},
		{"token server sends elsewhere, identity token", bearer("http://" + own + "/away"), identity{}, nil, manifest, false, false},
		{"storage elsewhere", basic, keys(own), to("http://thief.example/blob"), download, true, false},
		{"storage below it", basic, keys(own), to("http://storage.registry.example:5000/blob"), download, true, false},
		{"storage elsewhere wants a login", basic, keys(own), to("http://thief.example/login"), download, false, false},
		{"storage elsewhere, after a token", bearer("http://" + own + "/token"), keys(own), to("http://thief.example/blob"), download, true, false},
		{"storage elsewhere wants a token", bearer("http://" + own + "/token"), keys(own), to("http://thief.example/bearer"), download, false, false},
		{"upload elsewhere", basic, keys(own), func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodHead {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			w.Header().Set("Location", "http://thief.example/upload")
			w.WriteHeader(http.StatusAccepted)
		}, upload, false, true},
		{"next page elsewhere", basic, keys(own), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Link", `<http://thief.example/next>; rel="next"`)
			sendIndex(w, []ocispec.Descriptor{})
		}, referrers, false, true}, // asked for here, again and again
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			var (
				mu            sync.Mutex
				used          bool
				stolen, asked []string
			)
			handler := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				body, _ := io.ReadAll(req.Body) // in memory
				login := req.Header.Get("Authorization")
				mu.Lock()
				defer mu.Unlock()
				if req.Host != own {
					asked = append(asked, req.Method+" "+req.URL.String())
					if login != "" || strings.Contains(string(body)+req.URL.String(), secret) || string(body) == string(blob) {
						stolen = append(stolen, asked[len(asked)-1]+" "+login)
					}
					switch req.URL.Path {
					case "/token":
						fmt.Fprint(w, `{"token":"t"}`)
					case "/login":
						w.Header().Set("WWW-Authenticate", basic)
						w.WriteHeader(http.StatusUnauthorized)
					case "/bearer":
						w.Header().Set("WWW-Authenticate", bearer("http://thief.example/token"))
						w.WriteHeader(http.StatusUnauthorized)
					case "/upload":
						w.WriteHeader(http.StatusCreated)
					default:
						_, _ = w.Write(blob)
					}
					return
				}
				used = used || login != "" || strings.Contains(string(body), secret)
				switch {
				case req.URL.Path == "/away":
					to("http://thief.example/token")(w, req)
				case req.URL.Path == "/token":
					fmt.Fprint(w, `{"token":"t"}`)
				case login == "":
					w.Header().Set("WWW-Authenticate", row.challenge)
					w.WriteHeader(http.StatusUnauthorized)
				case req.URL.Path != "/v2/" && row.answers != nil:
					row.answers(w, req)
				}
			})
			r := testClient(t, RegistryOptions{PlainHTTP: true, Keychain: row.keychain, Transport: noTLS{testregistry.InProcess(handler)}})
			if err := row.use(t, r); (err == nil) != row.ok {
				t.Errorf("got %v, want success: %t", err, row.ok)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(stolen) != 0 {
				t.Errorf("in the clear, elsewhere: %v", stolen)
			}
			if row.alone && len(asked) != 0 {
				t.Errorf("asked elsewhere: %v", asked)
			}
			if elsewhere := strings.Contains(row.challenge, "//"+own) || row.challenge == basic; elsewhere && !used {
				t.Error("the registry itself got no login: this row sees nothing")
			}
		})
	}
}
