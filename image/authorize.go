// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// authorizer is what says to a registry who we are, in one session. It takes the
// challenges of the handshake and of every later answer: registries differ in which
// they offer, in which order, and whether it is the same for each repository. A
// token is preferred to the password, which only ever goes to the registry itself.
type authorizer struct {
	inner    http.RoundTripper // with the scheme corrected
	registry name.Registry
	scheme   string // of the registry
	scopes   []string
	// mirror: it gets a token only where any host may name a token server.
	mirror bool

	// busy is a mutex that can be waited for with a context; it guards what follows.
	busy chan struct{}
	auth authn.AuthConfig
	// header is what requests to the registry carry; "" for nothing.
	header string
	// noToken: the token server refused the password, which was then used as it is.
	noToken bool
}

// newAuthorizer answers what the registry offered to the ping, so that a refusal is
// one of the handshake.
func newAuthorizer(ctx context.Context, a *authorizer, offered challenges) (*authorizer, error) {
	a.busy = make(chan struct{}, 1)
	if len(offered) > 0 {
		_, err := a.answer(ctx, offered)
		return a, err
	}
	// It lets everybody ping, and may still ask for more later.
	switch {
	case a.auth.RegistryToken != "":
		a.header = "Bearer " + a.auth.RegistryToken
	case a.hasPassword():
		a.header = a.basic()
	}
	return a, nil
}

func (a *authorizer) hasPassword() bool {
	return a.auth.Username != "" && a.auth.Password != "" || a.auth.Auth != ""
}

// basic is the header with the password as it is.
func (a *authorizer) basic() string {
	if a.auth.Username == "" || a.auth.Password == "" {
		return "Basic " + a.auth.Auth
	}
	req := http.Request{Header: http.Header{}}
	req.SetBasicAuth(a.auth.Username, a.auth.Password)
	return req.Header.Get("Authorization")
}

// RoundTrip implements [http.RoundTripper].
func (a *authorizer) RoundTrip(in *http.Request) (*http.Response, error) {
	ctx := in.Context()
	own := a.isOwn(in.URL)
	header := ""
	if own {
		var err error
		if header, err = a.current(ctx); err != nil {
			return nil, closeBody(in, err)
		}
	}
	resp, err := a.inner.RoundTrip(withAuthorization(in, header))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	offered := challenges(parseChallenges(resp.Header.Values("WWW-Authenticate")))
	if len(offered) == 0 || in.Body != nil && in.Body != http.NoBody && in.GetBody == nil {
		return resp, nil
	}
	var better string
	if own {
		better, err = a.better(ctx, offered, header)
	} else {
		better, err = a.elsewhere(ctx, in.URL, offered)
	}
	if err == nil && better == "" {
		return resp, nil
	}
	_ = resp.Body.Close() // of no interest
	if err != nil {
		return nil, err
	}
	return a.inner.RoundTrip(withAuthorization(in, better))
}

// isOwn says whether an address is the registry's, which may name the port that is
// the protocol's own.
func (a *authorizer) isOwn(u *url.URL) bool {
	port := map[string]string{"http": ":80", "https": ":443"}[a.scheme]
	return strings.TrimSuffix(u.Host, port) == strings.TrimSuffix(a.registry.RegistryStr(), port)
}

// withAuthorization is in with the header. A round tripper must not change what it is
// given.
func withAuthorization(in *http.Request, header string) *http.Request {
	if header == "" {
		return in
	}
	out := in.Clone(in.Context())
	out.Header.Set("Authorization", header)
	return out
}

// closeBody does what a round tripper has to when it sends nothing.
func closeBody(in *http.Request, err error) error {
	if in.Body != nil {
		_ = in.Body.Close()
	}
	return err
}

func (a *authorizer) lock(ctx context.Context) (unlock func(), err error) {
	select {
	case a.busy <- struct{}{}:
		return func() { <-a.busy }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (a *authorizer) current(ctx context.Context) (string, error) {
	unlock, err := a.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	return a.header, nil
}

// better is the header to try after one was refused; "" if there is none. What
// another request has found out meanwhile is taken.
func (a *authorizer) better(ctx context.Context, offered challenges, refused string) (string, error) {
	unlock, err := a.lock(ctx)
	if err != nil {
		return "", err
	}
	defer unlock()
	if a.header != refused {
		return a.header, nil
	}
	return a.answer(ctx, offered)
}

// answer takes up what is offered, a token before the password, and returns the new
// header; "" if nothing of it helps.
func (a *authorizer) answer(ctx context.Context, offered challenges) (string, error) {
	bearer, ok := offered.bearer()
	basic := a.basicFor(offered, ok)
	switch {
	case ok && a.auth.RegistryToken != "":
		return a.take("Bearer " + a.auth.RegistryToken), nil
	case ok && !a.noToken:
		token, err := a.exchange(ctx, bearer)
		var refused *transport.Error
		if err == nil {
			return a.take("Bearer " + token), nil
		}
		if basic == "" || !errors.As(err, &refused) {
			return "", err
		}
		a.noToken = true
	}
	return a.take(basic), nil
}

// basicFor is the password, if it is asked for and was not refused already. A
// registry that names no way we know gets it too, as docker does it.
func (a *authorizer) basicFor(offered challenges, hasBearer bool) string {
	if !a.hasPassword() || hasBearer && !offered.password() || a.header == a.basic() {
		return ""
	}
	return a.basic()
}

// take makes header, unless it is "", that of the requests to come.
func (a *authorizer) take(header string) string {
	if header != "" {
		a.header = header
	}
	return header
}

// exchange gets a token for what the session is about.
func (a *authorizer) exchange(ctx context.Context, c challenge) (string, error) {
	// The scope of the challenge comes first: some servers look at no other.
	scopes := a.scopes
	if scope := c.params["scope"]; scope != "" && !slices.Contains(scopes, scope) {
		scopes = append([]string{scope}, scopes...)
	}
	token, err := a.ask(ctx, a.registry, authn.FromConfig(a.auth), scopes, c, a.scheme == "http")
	if err != nil {
		return "", err
	}
	a.scopes = scopes
	if token.RefreshToken != "" && a.auth.IdentityToken != "" {
		a.auth.IdentityToken = token.RefreshToken
	}
	return token.AccessToken, nil
}

// ask asks the token server that a challenge of registry names. The library refuses
// one at a private address, by which a hostile registry would reach into the network
// we are in, unless it is the registry's own; but it takes another port there for
// another host. The [guard] decides once more about each request. The token server of
// a mirror has no such exception: what else is on its machine may be the registry.
func (a *authorizer) ask(ctx context.Context, registry name.Registry, auth authn.Authenticator, scopes []string, c challenge, plain bool) (transport.Token, error) {
	if realm, err := url.Parse(c.params["realm"]); err == nil && !a.mirror && realm.Hostname() == hostname(registry.RegistryStr()) {
		if same, err := name.NewRegistry(realm.Host, name.Insecure); err == nil {
			registry = same
		}
	}
	got, err := transport.Exchange(ctx, registry, auth, a.inner, scopes,
		&transport.Challenge{Scheme: c.scheme, Parameters: c.params, Insecure: plain})
	if err != nil {
		return transport.Token{}, err
	}
	// Some name it so, and some so (distribution, "Token Authentication Specification").
	if got.AccessToken == "" {
		got.AccessToken = got.Token
	}
	return *got, nil
}

// elsewhere is a header for another host, where the registry sent us: an anonymous
// token, since the credentials are not for it. What fails there is that host's
// refusal, which the caller has.
func (a *authorizer) elsewhere(ctx context.Context, at *url.URL, offered challenges) (string, error) {
	c, ok := offered.bearer()
	if !ok {
		return "", nil
	}
	registry, err := name.NewRegistry(at.Host, name.WeakValidation)
	if err != nil {
		return "", nil
	}
	var scopes []string
	if scope := c.params["scope"]; scope != "" {
		scopes = []string{scope}
	}
	token, err := a.ask(ctx, registry, authn.Anonymous, scopes, c, at.Scheme == "http")
	if err != nil {
		return "", nil
	}
	return "Bearer " + token.AccessToken, nil
}

// schemeCorrector sends the requests to a registry over the protocol that the ping
// found it to speak, and takes what servers answer to reads for what it is.
type schemeCorrector struct {
	inner            http.RoundTripper
	registry, scheme string
}

// RoundTrip implements [http.RoundTripper].
func (s *schemeCorrector) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host == s.registry && s.scheme != "" && req.URL.Scheme != s.scheme {
		req = req.Clone(req.Context())
		req.URL.Scheme = s.scheme
	}
	resp, err := s.inner.RoundTrip(req)
	if err == nil && isRead(req) && broughtAll(resp.StatusCode) {
		resp.StatusCode = http.StatusOK
	}
	return resp, err
}

// isRead says whether a request asks for a whole document, or for a token.
func isRead(req *http.Request) bool {
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		return req.Header.Get("Range") == ""
	}
	return strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// broughtAll says whether a status is one of success with a body. Proxies and odd
// servers answer reads with others than 200; a digest or a length proves what came.
func broughtAll(status int) bool {
	switch status {
	case http.StatusCreated, http.StatusAccepted, http.StatusNonAuthoritativeInfo, http.StatusPartialContent:
		return true
	}
	return false
}

// authorized does the handshake of one session.
func (c connector) authorized(ctx context.Context, registry name.Registry, inner http.RoundTripper) (http.RoundTripper, error) {
	auth, err := authn.Authorization(ctx, c.auth)
	if err != nil {
		return nil, fmt.Errorf("reading the credentials for registry %s: %w", registry.RegistryStr(), err)
	}
	watch := &pingWatch{inner: &schemeCorrector{inner: inner}}
	ping, err := transport.Ping(ctx, registry, watch)
	if err != nil {
		return nil, err
	}
	scheme := schemeName(ping.Insecure)
	return newAuthorizer(ctx, &authorizer{
		inner:    &schemeCorrector{inner: inner, registry: registry.RegistryStr(), scheme: scheme},
		registry: registry,
		scheme:   scheme,
		scopes:   c.scopes,
		mirror:   c.mirror,
		auth:     *auth,
	}, watch.of(scheme))
}

func schemeName(plain bool) string {
	if plain {
		return "http"
	}
	return "https"
}
