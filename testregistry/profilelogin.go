// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// accounts is how a vendor asks who somebody is.
type accounts struct {
	// challenges are WWW-Authenticate headers, in order. "{base}" is the address of
	// the registry, "{scope}" what is asked for.
	challenges []string
	// pingScope takes the place of "{scope}" at /v2/, where nothing is asked for.
	pingScope string
	// tokens is the path of the token server; "" if there is none.
	tokens string
	// life of a token.
	life time.Duration
	// public: everybody may read, with a token of the token server.
	public bool
}

// The vendors' accounts (docs of each; challenges of ghcr.io from kyverno#15950, of
// Amazon from regclient/regclient#709, of Gitea from its source).
var (
	gitlabLogin = accounts{
		challenges: []string{`Bearer realm="{base}/jwt/auth",service="container_registry",scope="{scope}",error="invalid_token"`},
		tokens:     "/jwt/auth", life: 5 * time.Minute, public: true,
	}
	ghcrLogin = accounts{
		challenges: []string{`Bearer realm="{base}/token",service="ghcr.io",scope="{scope}"`},
		pingScope:  "repository:user/image:pull", // a placeholder, as ghcr.io sends it
		tokens:     "/token", life: 5 * time.Minute, public: true,
	}
	hubLogin = accounts{
		challenges: []string{`Bearer realm="{base}/token",service="registry.docker.io",scope="{scope}"`},
		tokens:     "/token", life: 5 * time.Minute, public: true,
	}
	ecrLogin = accounts{challenges: []string{`Basic realm="{base}/",service="ecr.amazonaws.com"`}}
	acrLogin = accounts{
		challenges: []string{`Bearer realm="{base}/oauth2/token",service="registry.azurecr.io",scope="{scope}"`},
		tokens:     "/oauth2/token", life: 5 * time.Minute,
	}
	garLogin = accounts{
		challenges: []string{`Bearer realm="{base}/v2/token",service="pkg.dev",scope="{scope}"`},
		tokens:     "/v2/token", life: time.Hour, public: true,
	}
	quayLogin = accounts{
		challenges: []string{`Bearer realm="{base}/v2/auth",service="quay.io",scope="{scope}"`},
		tokens:     "/v2/auth", life: time.Hour, public: true,
	}
	harborLogin = accounts{
		challenges: []string{`Bearer realm="{base}/service/token",service="harbor-registry",scope="{scope}"`},
		tokens:     "/service/token", life: 30 * time.Minute, public: true,
	}
	doLogin = accounts{
		challenges: []string{`Bearer realm="{base}/v2/registry/auth",service="registry.digitalocean.com",scope="{scope}"`},
		tokens:     "/v2/registry/auth", life: 15 * time.Minute,
	}
	giteaLogin = accounts{
		challenges: []string{`Bearer realm="{base}/v2/token"`, `Basic`}, // no service, no scope
		tokens:     "/v2/token", life: 24 * time.Hour, public: true,
	}
	cloudflareLogin = accounts{challenges: []string{`Basic realm="{base}/v2/"`}}
)

// login wants one of everybody.
func login(a accounts) deviation {
	return func(_ *Registry, next http.Handler) http.Handler {
		return &doorman{accounts: a, next: next, grants: map[string]grant{}}
	}
}

// collecting is login where the garbage collection begins after the first tag was
// written: no token for writing is made from then on. Those made before are good until
// they expire (DigitalOcean API docs, "Start Garbage Collection").
func collecting(a accounts) deviation {
	return func(_ *Registry, next http.Handler) http.Handler {
		d := &doorman{accounts: a, grants: map[string]grant{}}
		d.next = http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			rt := parseRoute(req.URL.Path)
			if rt.kind == kindManifest && req.Method == http.MethodPut && !wholeDigest().MatchString(rt.target) {
				defer d.closed.Store(true)
			}
			next.ServeHTTP(w, req)
		})
		return d
	}
}

// doorman asks for a login before next. Anybody may be anyone: it is a test.
type doorman struct {
	accounts
	next http.Handler
	// closed: nobody gets a token for writing any more.
	closed atomic.Bool

	mu     sync.Mutex
	made   int
	grants map[string]grant
}

// maxGrants bounds the tokens that are remembered; all are forgotten for a new one.
const maxGrants = 10_000

// grant is what a token is good for.
type grant struct {
	until time.Time
	// scopes as they were asked for: "repository:net/a:pull,push".
	scopes []string
	push   bool
}

// ServeHTTP implements [http.Handler].
func (d *doorman) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if d.tokens != "" && req.URL.Path == d.tokens {
		d.serveToken(w, req)
		return
	}
	kind, credentials, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	scope := d.wanted(req)
	switch {
	case strings.EqualFold(kind, "Basic") && d.takesBasic():
		if user, password, ok := req.BasicAuth(); ok && user != "" && password != "" {
			d.next.ServeHTTP(w, req)
			return
		}
	case strings.EqualFold(kind, "Bearer"):
		if g, ok := d.grant(credentials); ok {
			if g.covers(scope, req) {
				d.next.ServeHTTP(w, req)
				return
			}
			d.challenge(w, scope, req, `,error="insufficient_scope"`)
			return
		}
	}
	d.challenge(w, scope, req, "")
}

func (d *doorman) takesBasic() bool {
	return slices.ContainsFunc(d.challenges, func(c string) bool { return strings.HasPrefix(c, "Basic") })
}

// wanted is the scope a request needs; "" for those about no repository.
func (d *doorman) wanted(req *http.Request) string {
	rt := parseRoute(req.URL.Path)
	switch {
	case rt.name == "":
		return ""
	case req.Method == http.MethodDelete:
		return "repository:" + rt.name + ":delete" // Docker Hub's (hub-feedback#2360)
	case isRead(req.Method):
		return "repository:" + rt.name + ":pull"
	}
	return "repository:" + rt.name + ":pull,push"
}

func (d *doorman) challenge(w http.ResponseWriter, scope string, req *http.Request, more string) {
	if scope == "" {
		scope = d.pingScope
	}
	for _, c := range d.challenges {
		c = strings.NewReplacer("{base}", baseURL(req), "{scope}", scope).Replace(c)
		if strings.HasPrefix(c, "Bearer") {
			c += more
		}
		w.Header().Add("WWW-Authenticate", c)
	}
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	writeError(w, refuse(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required"))
}

// serveToken is the token server: the anonymous may read what is public, everybody
// else may do everything, unless it is closed.
func (d *doorman) serveToken(w http.ResponseWriter, req *http.Request) {
	user, password, known := req.BasicAuth()
	known = known && user != "" && password != ""
	if !known && !d.public {
		writeError(w, refuse(http.StatusUnauthorized, "UNAUTHORIZED", "authentication required"))
		return
	}
	g := grant{until: time.Now().Add(d.life), scopes: req.URL.Query()["scope"], push: known && !d.closed.Load()}
	d.mu.Lock()
	d.made++
	token := fmt.Sprintf("test-token-%d", d.made)
	if len(d.grants) >= maxGrants {
		clear(d.grants)
	}
	d.grants[token] = g
	d.mu.Unlock()
	if err := writeJSON(w, "application/json", map[string]any{"token": token, "expires_in": int(d.life.Seconds())}); err != nil {
		writeError(w, err)
	}
}

func (d *doorman) grant(token string) (grant, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	g, ok := d.grants[token]
	return g, ok && time.Now().Before(g.until)
}

// covers says whether the token is good for a request. Without any scope it is one
// for all repositories, as Gitea's are.
func (g grant) covers(scope string, req *http.Request) bool {
	if !isRead(req.Method) && !g.push {
		return false
	}
	if scope == "" || len(g.scopes) == 0 {
		return true
	}
	wanted, actions := cutScope(scope)
	return slices.ContainsFunc(g.scopes, func(s string) bool {
		got, may := cutScope(s)
		return got == wanted && !slices.ContainsFunc(actions, func(action string) bool { return !slices.Contains(may, action) })
	})
}

// cutScope splits "repository:net/a:pull,push" at the last colon.
func cutScope(s string) (what string, actions []string) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, nil
	}
	return s[:i], strings.Split(s[i+1:], ",")
}
