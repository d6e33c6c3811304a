// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"syscall"
	"time"

	"github.com/bpfimg/bpfimg/image/hosts"
	"github.com/bpfimg/bpfimg/internal/loopback"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// sessionKey: tokens are made for one repository and for reading or writing.
type sessionKey struct {
	place         hosts.Place
	write, mirror bool
}

// transportKey: mirrors get less time to answer.
type transportKey struct {
	host   hosts.Place
	mirror bool
}

// sessionSlot makes concurrent users of a repository wait for one handshake.
// busy is a mutex that can be waited for with a context.
type sessionSlot struct {
	busy chan struct{}
	done *session
}

// session is a finished handshake: who we are and which protocol is spoken.
type session struct {
	repo      name.Repository
	transport http.RoundTripper
	client    *http.Client
	// mirror: another place can be asked too.
	mirror bool
}

// session returns the session with one place. A failed handshake is not
// remembered.
func (r *Registry) session(ctx context.Context, key sessionKey) (*session, error) {
	slot := r.slot(key)
	select {
	case slot.busy <- struct{}{}:
		defer func() { <-slot.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if slot.done == nil {
		s, err := r.handshake(ctx, key)
		if err != nil {
			return nil, &handshakeError{err}
		}
		slot.done = s
	}
	return slot.done, nil
}

func (r *Registry) slot(key sessionKey) *sessionSlot {
	r.mu.Lock()
	defer r.mu.Unlock()
	slot := r.sessions[key]
	if slot == nil {
		slot = &sessionSlot{busy: make(chan struct{}, 1)}
		r.sessions[key] = slot
	}
	return slot
}

// handshake pings the registry and gets a token if it wants one.
//
// On loopback http is tried first, because nearly every registry there speaks
// it and an https attempt would cost each command a connection; only one that
// does not understand http is asked again with https. Everywhere else https
// comes first and http only with permission.
func (r *Registry) handshake(ctx context.Context, key sessionKey) (*session, error) {
	c := connector{agent: r.userAgent, idle: r.transfers.idle, plain: key.place.PlainHTTP() || r.plainHTTP && !key.mirror, mirror: key.mirror}
	var options []name.Option
	if c.plain {
		options = append(options, name.Insecure)
	}
	registry, err := name.NewRegistry(key.place.Registry, options...)
	if err != nil {
		return nil, fmt.Errorf("registry %q: %w", key.place.Registry, err)
	}
	repo := registry.Repo(key.place.Repository)
	if c.auth, err = authn.Resolve(ctx, r.keychain, repo); err != nil {
		return nil, fmt.Errorf("reading the credentials for registry %s: %w", key.place.Registry, err)
	}
	if c.transport, err = r.transportOf(key); err != nil {
		return nil, err
	}
	c.scopes = []string{repo.Scope(transport.PullScope)}
	if key.write {
		c.scopes = []string{repo.Scope(transport.PushScope)}
	}
	s, err := c.connect(ctx, repo)
	if err != nil {
		return nil, err
	}
	s.mirror = key.mirror
	return s, nil
}

// transportOf is what carries the requests to a host and whatever it leads to.
func (r *Registry) transportOf(key sessionKey) (http.RoundTripper, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := transportKey{key.place.Host(), key.mirror}
	if t := r.transports[at]; t != nil {
		return t, nil
	}
	base := r.transport
	if plain, ok := base.(*http.Transport); ok && key.mirror {
		quick := plain.Clone()
		quick.ResponseHeaderTimeout = mirrorPatience
		base = quick
	}
	t, err := key.place.Transport(base)
	if err != nil {
		return nil, err
	}
	r.transports[at] = t
	return t, nil
}

// connector is all that a handshake needs besides the registry's name.
type connector struct {
	auth      authn.Authenticator
	transport http.RoundTripper
	agent     string
	plain     bool
	idle      time.Duration
	scopes    []string
	mirror    bool
}

// connect does the handshake over the schemes that are allowed.
func (c connector) connect(ctx context.Context, repo name.Repository) (*session, error) {
	if !loopback.Is(hostname(repo.RegistryStr())) {
		return c.try(ctx, repo, schemeHTTPS)
	}
	s, err := c.try(ctx, insecure(repo), schemeHTTP)
	if err == nil || !mayWantTLS(ctx, err) {
		return s, err
	}
	s, tlsErr := c.try(ctx, repo, schemeHTTPS)
	if tlsErr == nil {
		return s, nil
	}
	var answer *transport.Error
	if isCertificate(tlsErr) || errors.As(err, &answer) && !errors.Is(tlsErr, http.ErrSchemeMismatch) {
		return nil, tlsErr // it does speak TLS
	}
	return nil, err
}

// insecure is repo with a scheme the library pings with http too; it does not
// know all loopback addresses by itself.
func insecure(repo name.Repository) name.Repository {
	if registry, err := name.NewRegistry(repo.RegistryStr(), name.Insecure); err == nil {
		return registry.Repo(repo.RepositoryStr())
	}
	return repo
}

// mayWantTLS: what a TLS server does with a plain request is to answer 400 or
// to cut the connection.
func mayWantTLS(ctx context.Context, err error) bool {
	if ctx.Err() != nil || errors.Is(err, syscall.ECONNREFUSED) {
		return false
	}
	var answer *transport.Error
	return !errors.As(err, &answer) || answer.StatusCode == http.StatusBadRequest
}

func (c connector) try(ctx context.Context, repo name.Repository, allowed schemes) (*session, error) {
	g := &guard{inner: c.transport, registry: repo.RegistryStr(), allowed: allowed, plain: c.plain, idle: c.idle}
	t, err := c.authorized(ctx, repo.Registry, transport.NewUserAgent(g, c.agent))
	if err != nil {
		return nil, err
	}
	return &session{
		repo:      repo,
		transport: t,
		client:    &http.Client{Transport: t, CheckRedirect: checkRedirect},
	}, nil
}

// base is where every registry answers (OCI distribution spec, "API version check").
func (s *session) base() *url.URL {
	return &url.URL{Scheme: s.repo.Scheme(), Host: s.repo.RegistryStr(), Path: "/v2/"}
}

// path is below the repository: "manifests/v1".
func (s *session) url(path string) *url.URL {
	return &url.URL{
		Scheme: s.repo.Scheme(), // the session's transport corrects it
		Host:   s.repo.RegistryStr(),
		Path:   "/v2/" + s.repo.RepositoryStr() + "/" + path,
	}
}

// send makes one request. The caller closes the response's body.
func (s *session) send(ctx context.Context, method string, u *url.URL, header http.Header, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	for key, values := range header {
		req.Header[key] = values
	}
	return s.client.Do(req)
}
