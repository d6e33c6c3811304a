// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package trustroot fetches whom to trust in Sigstore's services, a trusted root
// file, through The Update Framework. It runs when a person asks for it: a node
// decides by the file it has.
//
// Door: [Fetch].
package trustroot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/loopback"
	"github.com/bpfimg/bpfimg/sign/withcontext"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tuf"
	"github.com/theupdateframework/go-tuf/v2/metadata/fetcher"
)

// MaxFile bounds a trusted root file, in bytes; Sigstore's own is 7 KiB.
const MaxFile = 1 << 20

// Target is the name of the trusted root in Sigstore's repositories.
const Target = "trusted_root.json"

// requestTimeout bounds one request; the caller's context bounds all of them.
const requestTimeout = 30 * time.Second

// ErrOptions: what to fetch, and from where, is not said as it must be; test
// with [errors.Is].
var ErrOptions = errors.New("cannot update the trusted root so")

// Options of [Fetch].
type Options struct {
	// Mirror is the address of the repository, and Root the file root.json that
	// everything there is checked by; default: Sigstore's public ones. One without
	// the other is refused: whoever runs a mirror must not say whom to trust.
	Mirror string
	Root   []byte
	// Cache is a folder that keeps what was seen, required: a repository that
	// goes back to an older version is refused then.
	Cache string
}

// Fetched is what [Fetch] returns.
type Fetched struct {
	// File is the trusted root as it was published.
	File []byte
	// Authorities, Logs and Timestamps count what it trusts: certificate
	// authorities, transparency logs, timestamp authorities.
	Authorities, Logs, Timestamps int
}

// Fetch gets the trusted root, checked as The Update Framework has it: signed by
// those whom Root names, or whom they named since, not expired, and not older
// than what was seen before.
func Fetch(ctx context.Context, opts Options) (Fetched, error) {
	if err := opts.complete(); err != nil {
		return Fetched{}, err
	}
	if err := os.MkdirAll(opts.Cache, 0o755); err != nil {
		return Fetched{}, err
	}
	get := fetcher.NewDefaultFetcher()
	get.SetHTTPUserAgent("bpfimg")
	get.SetHTTPClient(&http.Client{Transport: until{ctx}, Timeout: requestTimeout})
	client, err := tuf.New(&tuf.Options{Root: opts.Root, RepositoryBaseURL: opts.Mirror, CachePath: opts.Cache, Fetcher: get, Context: ctx})
	if err != nil {
		return Fetched{}, fmt.Errorf("fetching from %s: %w", opts.Mirror, err)
	}
	file, err := client.GetTarget(Target)
	if err != nil {
		return Fetched{}, fmt.Errorf("fetching from %s: %w", opts.Mirror, err)
	}
	return read(file)
}

// complete fills in defaults and refuses what would check nothing.
func (o *Options) complete() error {
	if (o.Mirror == "") != (o.Root == nil) {
		return fmt.Errorf("%w: give a mirror and the root.json to check it by, or neither for Sigstore's public ones", ErrOptions)
	}
	if o.Cache == "" {
		return fmt.Errorf("%w: there is no folder for what was seen", ErrOptions)
	}
	if o.Mirror == "" {
		o.Mirror, o.Root = tuf.DefaultMirror, tuf.DefaultRoot()
	}
	u, err := url.Parse(o.Mirror)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && u.Scheme != "http") {
		return fmt.Errorf("%w: mirror: want https://HOST[/PATH]", ErrOptions)
	}
	if u.Scheme == "http" && !loopback.Is(u.Hostname()) {
		return fmt.Errorf("%w: mirror %s: want https", ErrOptions, o.Mirror)
	}
	return nil
}

// read refuses what verification could not use.
func read(file []byte) (Fetched, error) {
	if len(file) > MaxFile {
		return Fetched{}, fmt.Errorf("%s is over %d bytes", Target, MaxFile)
	}
	r, err := root.NewTrustedRootFromJSON(file)
	if err != nil {
		return Fetched{}, fmt.Errorf("reading %s: %w", Target, err)
	}
	return Fetched{
		File:        file,
		Authorities: len(r.FulcioCertificateAuthorities()), Logs: len(r.RekorLogs()), Timestamps: len(r.TimestampingAuthorities()),
	}, nil
}

// until ends requests with the context too: the library makes them without one.
type until struct{ ctx context.Context }

// RoundTrip implements [http.RoundTripper].
func (u until) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := withcontext.RoundTrip(u.ctx, req)
	if err != nil {
		return nil, joined.Errors(u.ctx.Err(), err)
	}
	return resp, nil
}
