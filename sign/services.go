// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/loopback"
	"github.com/bpfimg/bpfimg/sign/withcontext"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigsign "github.com/sigstore/sigstore-go/pkg/sign"
)

// ErrServices: the services cannot be used as they are named; test with
// [errors.Is].
var ErrServices = errors.New("cannot use the signing services")

// MaxSigningConfig bounds a signing config file, in bytes.
const MaxSigningConfig = 256 << 10

// Bounds on one request to a service. The caller's context bounds all of them.
const (
	serviceTimeout = 30 * time.Second
	serviceRetries = 2
)

// Services are the Sigstore services a signature is made with. The zero value
// asks none: the signature is by the key alone. None is asked by default.
type Services struct {
	// Fulcio is the base URL of the certificate authority; "" for signatures by
	// a key. Token goes there, so it must be https, or a loopback address.
	Fulcio string
	// Token is the identity token that Fulcio makes a certificate from.
	Token string
	// Logs are the transparency logs each bundle is entered into.
	Logs []Log
	// Timestamps are the URLs, paths included, of timestamp authorities (RFC
	// 3161).
	Timestamps []string
	// TrustedRoot, unless nil, must find every bundle good before it is written.
	TrustedRoot *root.TrustedRoot
}

// Log is one transparency log.
type Log struct {
	// URL is the base URL.
	URL string
	// Version of its API: 1 or 2.
	Version uint32
}

// ReadSigningConfig chooses the services to use at the time now from a signing
// config of Sigstore (protobuf-specs, SigningConfig v0.2), of those API
// versions known here. The error wraps [ErrServices].
func ReadSigningConfig(data []byte, now time.Time) (Services, error) {
	var s Services
	if len(data) > MaxSigningConfig {
		return s, fmt.Errorf("%w: the signing config is over %d bytes", ErrServices, MaxSigningConfig)
	}
	config, err := root.NewSigningConfigFromJSON(data)
	if err != nil {
		return s, fmt.Errorf("%w: reading the signing config: %w", ErrServices, err)
	}
	if all := config.FulcioCertificateAuthorityURLs(); len(all) > 0 {
		fulcio, err := root.SelectService(all, sigsign.FulcioAPIVersions, now)
		if err != nil {
			return s, fmt.Errorf("%w: no certificate authority of the signing config: %w", ErrServices, err)
		}
		s.Fulcio = fulcio.URL
	}
	if all := config.RekorLogURLs(); len(all) > 0 {
		logs, err := root.SelectServices(all, config.RekorLogURLsConfig(), sigsign.RekorAPIVersions, now)
		if err != nil {
			return s, fmt.Errorf("%w: no transparency log of the signing config: %w", ErrServices, err)
		}
		for _, log := range logs {
			s.Logs = append(s.Logs, Log{URL: log.URL, Version: log.MajorAPIVersion})
		}
	}
	if all := config.TimestampAuthorityURLs(); len(all) > 0 {
		authorities, err := root.SelectServices(all, config.TimestampAuthorityURLsConfig(), sigsign.TimestampAuthorityAPIVersions, now)
		if err != nil {
			return s, fmt.Errorf("%w: no timestamp authority of the signing config: %w", ErrServices, err)
		}
		for _, authority := range authorities {
			s.Timestamps = append(s.Timestamps, authority.URL)
		}
	}
	return s, nil
}

// Keyless says whether a certificate stands in for a known key.
func (s Services) Keyless() bool { return s.Fulcio != "" }

// check refuses services whose signatures nobody could verify later, and
// addresses that would show the token or what is signed to a network.
func (s Services) check() error {
	if s.Keyless() {
		if s.Token == "" {
			return fmt.Errorf("%w: a certificate needs an identity token", ErrServices)
		}
		if len(s.Timestamps) == 0 && !s.logsTell() {
			return fmt.Errorf("%w: a certificate is valid for minutes: without a timestamp authority or a log of version 1 nothing proves that the signature was made in them", ErrServices)
		}
		if err := checkURL(s.Fulcio, false); err != nil {
			return err
		}
	}
	for _, log := range s.Logs {
		if err := checkURL(log.URL, false); err != nil {
			return err
		}
	}
	for _, u := range s.Timestamps {
		// What comes back is signed, and authorities without TLS are common.
		if err := checkURL(u, true); err != nil {
			return err
		}
	}
	return nil
}

// checkKey refuses a key whose signatures a log does not take. Those of version 2
// want the hash that goes with the curve (SHA-384 for P-384, SHA-512 for P-521) and
// Ed25519ph, none of which `cosign verify --key` accepts: what is signed here
// is what it does accept (tried with Rekor v2.3.0 and cosign v2.6.5 and v3.1.3).
func (s Services) checkKey(public crypto.PublicKey) error {
	var kind string
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			kind = "an ECDSA key on " + k.Curve.Params().Name
		}
	case ed25519.PublicKey:
		kind = "an Ed25519 key"
	}
	if kind == "" || s.Keyless() {
		return nil
	}
	for _, log := range s.Logs {
		if log.Version >= 2 {
			return fmt.Errorf("%w: the log %s, of version 2, takes signatures by %s only in a form that cosign does not verify: sign with an ECDSA key on P-256 or an RSA key, or without a log",
				ErrServices, log.URL, kind)
		}
	}
	return nil
}

// logsTell says whether a log signs the time of entry; those of version 2 do
// not.
func (s Services) logsTell() bool {
	for _, log := range s.Logs {
		if log.Version < 2 {
			return true
		}
	}
	return false
}

// checkURL refuses what is no http address, and one without TLS that is not on
// this machine, unless plain is true.
func checkURL(text string, plain bool) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("%w: address %q: want https://HOST[/PATH]", ErrServices, text)
	}
	if u.User != nil {
		return fmt.Errorf("%w: address %q: want https://HOST[/PATH] without user and password", ErrServices, u.Redacted())
	}
	if u.Scheme == "http" && !plain && !loopback.Is(u.Hostname()) {
		return fmt.Errorf("%w: address %q: want https, as everyone on the way could read the identity token or answer instead", ErrServices, text)
	}
	return nil
}

// bundleOptions says to sigstore-go what to do beside signing.
func (s Services) bundleOptions(ctx context.Context) (sigsign.BundleOptions, error) {
	opts := sigsign.BundleOptions{Context: ctx}
	if err := s.check(); err != nil {
		return opts, err
	}
	if s.Keyless() {
		opts.CertificateProvider = sigsign.NewFulcio(&sigsign.FulcioOptions{
			BaseURL: s.Fulcio, Timeout: serviceTimeout, Retries: serviceRetries, Transport: bounded{ctx},
		})
		opts.CertificateProviderOptions = &sigsign.CertificateProviderOptions{IDToken: s.Token}
	}
	for _, log := range s.Logs {
		opts.TransparencyLogs = append(opts.TransparencyLogs, sigsign.NewRekor(&sigsign.RekorOptions{
			BaseURL: log.URL, Timeout: serviceTimeout, Retries: serviceRetries, Version: log.Version,
		}))
	}
	for _, u := range s.Timestamps {
		opts.TimestampAuthorities = append(opts.TimestampAuthorities, sigsign.NewTimestampAuthority(&sigsign.TimestampAuthorityOptions{
			URL: u, Timeout: serviceTimeout, Retries: serviceRetries, Transport: bounded{ctx},
		}))
	}
	return opts, nil
}

// bounded ends requests with the context too: the library makes them without
// one. It follows no redirect: an identity token is for the address that was
// named.
type bounded struct{ ctx context.Context }

// RoundTrip implements [http.RoundTripper].
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := withcontext.RoundTrip(b.ctx, req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 3 {
		return nil, joined.Errors(fmt.Errorf("%s redirects elsewhere: name the address itself", req.URL.Redacted()), resp.Body.Close())
	}
	return resp, nil
}
