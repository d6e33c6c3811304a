// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// ParseRegistry parses HOST[:PORT], as references spell it: docker.io for Docker
// Hub. What people copy around it is left out: https://, and the path of the
// registry's API. The error wraps [ErrReference].
func ParseRegistry(s string) (string, error) {
	given := s
	for _, scheme := range []string{"https://", "http://"} {
		s = strings.TrimPrefix(s, scheme)
	}
	s = strings.TrimRight(s, "/")
	for _, api := range []string{"/v1", "/v2"} {
		s = strings.TrimSuffix(s, api)
	}
	if strings.Contains(s, "@") { // a password may stand before it
		return "", fmt.Errorf("%w: want a registry, HOST[:PORT] without a user name", ErrReference)
	}
	if strings.Contains(s, "/") {
		return "", fmt.Errorf("%w %q: want a registry, HOST[:PORT] without a path", ErrReference, given)
	}
	if s == dockerIndex {
		return dockerRegistry, nil
	}
	if err := checkRegistryHost(s); err != nil {
		return "", fmt.Errorf("%w: %w", ErrReference, err)
	}
	return s, nil
}

// CheckLogin tries credentials at registry (HOST[:PORT]). checked is false when
// the registry asks for none, and so cannot say whether these are right. Wrong ones
// are [ErrUnauthorized].
func (r *Registry) CheckLogin(ctx context.Context, registry, user, password string) (checked bool, err error) {
	place, err := r.hosts.Login(registry)
	if err != nil {
		return false, fmt.Errorf("logging in: %w", err)
	}
	c := connector{
		auth:  authn.FromConfig(authn.AuthConfig{Username: user, Password: password}),
		agent: r.userAgent,
		idle:  r.transfers.idle,
		plain: r.plainHTTP || place.PlainHTTP(),
	}
	if c.transport, err = r.transportOf(sessionKey{place: place}); err != nil {
		return false, fmt.Errorf("logging in: %w", err)
	}
	var options []name.Option
	if c.plain {
		options = append(options, name.Insecure)
	}
	at, err := name.NewRegistry(registry, options...)
	if err != nil {
		return false, fmt.Errorf("registry %q: %w", registry, err)
	}
	asks := &challengeWatch{inner: c.transport}
	c.transport = asks
	op := operation{"logging in to", Reference{registry: registry}}
	err = r.retry.attempt(ctx, op, effort{bodyLimit: MaxManifest}, func(ctx context.Context) error {
		s, err := c.connect(ctx, at.Repo(""))
		if err != nil {
			return &handshakeError{err}
		}
		resp, err := s.send(ctx, http.MethodGet, s.base(), nil, nil)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return transport.CheckError(resp, http.StatusOK)
	})
	return asks.seen.Load(), err
}
