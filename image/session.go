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

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// sessionKey: tokens are made for one repository and for reading or writing.
type sessionKey struct {
	repository string
	write      bool
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
}

// session returns the session with ref's repository. A failed handshake is not
// remembered.
func (r *Registry) session(ctx context.Context, ref Reference, write bool) (*session, error) {
	slot := r.slot(sessionKey{ref.Name(), write})
	select {
	case slot.busy <- struct{}{}:
		defer func() { <-slot.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if slot.done == nil {
		s, err := r.handshake(ctx, ref, write)
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
func (r *Registry) handshake(ctx context.Context, ref Reference, write bool) (*session, error) {
	var options []name.Option
	if r.plainHTTP {
		options = append(options, name.Insecure)
	}
	registry, err := name.NewRegistry(ref.registry, options...)
	if err != nil {
		return nil, fmt.Errorf("registry %q: %w", ref.registry, err)
	}
	repo := registry.Repo(ref.repository)
	auth, err := authn.Resolve(ctx, r.keychain, repo)
	if err != nil {
		return nil, fmt.Errorf("reading the credentials for registry %s: %w", ref.registry, err)
	}
	if !isLoopback(hostname(ref.registry)) {
		return r.connect(ctx, repo, auth, write, schemeHTTPS)
	}
	s, err := r.connect(ctx, insecure(repo), auth, write, schemeHTTP)
	if err == nil || !mayWantTLS(ctx, err) {
		return s, err
	}
	if s, tlsErr := r.connect(ctx, repo, auth, write, schemeHTTPS); tlsErr == nil {
		return s, nil
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

func (r *Registry) connect(ctx context.Context, repo name.Repository, auth authn.Authenticator, write bool, allowed schemes) (*session, error) {
	scope := transport.PullScope
	if write {
		scope = transport.PushScope
	}
	g := &guard{inner: r.transport, registry: repo.RegistryStr(), allowed: allowed, plain: r.plainHTTP}
	t, err := transport.NewWithContext(ctx, repo.Registry, auth, transport.NewUserAgent(g, r.userAgent), []string{repo.Scope(scope)})
	if err != nil {
		return nil, err
	}
	return &session{
		repo:      repo,
		transport: t,
		client:    &http.Client{Transport: t, CheckRedirect: checkRedirect},
	}, nil
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
