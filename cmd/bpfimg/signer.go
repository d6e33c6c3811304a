// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/urfave/cli/v2"
)

// maxTrustedRoot bounds a trusted root file, in bytes; Sigstore's own is 7 KiB.
const maxTrustedRoot = 1 << 20

// signerFlags say who signs, and which services vouch for it.
func signerFlags() []cli.Flag {
	return []cli.Flag{
		keyFlag("private key (cosign's encrypted PEM; password from COSIGN_PASSWORD): a file, env://NAME for the variable NAME, or NAME://KEY for the plugin sigstore-kms-NAME"),
		&cli.StringFlag{Name: "identity-token", Usage: "file with the identity token to sign with instead of a key", DefaultText: "that of GitHub Actions, or SIGSTORE_ID_TOKEN"},
		&cli.StringFlag{Name: "signing-config", Usage: "Sigstore signing config: where certificates, log entries and timestamps come from"},
		&cli.StringFlag{Name: "fulcio-url", Usage: "certificate authority for signing without a key"},
		&cli.StringSliceFlag{Name: "rekor-url", Usage: "transparency log (API version 1) to enter signatures into (repeatable)"},
		&cli.StringSliceFlag{Name: "timestamp-server-url", Usage: "RFC 3161 timestamp authority, with the path (repeatable)"},
		&cli.StringFlag{Name: "trusted-root", Usage: "trusted_root.json that must find the new signature good before it is written"},
	}
}

// signer opens what signs, and the services it is used with.
func (s *session) signer(ctx context.Context) (signature.SignerVerifier, sign.Services, error) {
	services, err := s.services()
	if err != nil {
		return nil, services, err
	}
	key := s.c.String("key")
	switch {
	case key == "":
		signer, err := s.identity(ctx, &services)
		return signer, services, err
	case s.c.String("identity-token") != "" || s.c.String("fulcio-url") != "":
		return nil, services, usagef("--key contradicts --identity-token and --fulcio-url: sign with a key or with an identity")
	}
	// The certificates of a signing config are for those who have no key.
	services.Fulcio = ""
	signer, err := s.term.loadKey(ctx, key)
	return signer, services, err
}

// loadKey opens a key in a file, in a variable or in a key management service.
func (t *terminal) loadKey(ctx context.Context, key string) (signature.SignerVerifier, error) {
	if err := checkPlace(key); err != nil {
		return nil, err
	}
	if sign.IsKMS(key) && !strings.HasPrefix(key, envKey) {
		return sign.LoadKMS(ctx, key)
	}
	return t.loadSigner(ctx, key)
}

// services reads where certificates, log entries and timestamps come from. What
// is named by itself takes the place of what the signing config says.
func (s *session) services() (sign.Services, error) {
	var services sign.Services
	if path := s.c.String("signing-config"); path != "" {
		data, err := limited.ReadFile(path, sign.MaxSigningConfig)
		if err != nil {
			return services, err
		}
		if services, err = sign.ReadSigningConfig(data, time.Now()); err != nil {
			return services, fmt.Errorf("%s: %w", path, err)
		}
	}
	if u := s.c.String("fulcio-url"); u != "" {
		services.Fulcio = u
	}
	if urls := s.c.StringSlice("rekor-url"); len(urls) > 0 {
		services.Logs = nil
		for _, u := range urls {
			services.Logs = append(services.Logs, sign.Log{URL: u, Version: 1})
		}
	}
	if urls := s.c.StringSlice("timestamp-server-url"); len(urls) > 0 {
		services.Timestamps = urls
	}
	path := s.c.String("trusted-root")
	if path == "" {
		return services, nil
	}
	data, err := limited.ReadFile(path, maxTrustedRoot)
	if err != nil {
		return services, err
	}
	if services.TrustedRoot, err = root.NewTrustedRootFromJSON(data); err != nil {
		return services, fmt.Errorf("%s: reading the trusted root: %w", path, err)
	}
	return services, nil
}

// identity finds the token of a keyless signature and makes the key it is for.
func (s *session) identity(ctx context.Context, services *sign.Services) (signature.SignerVerifier, error) {
	if !services.Keyless() {
		return nil, usagef("signing needs --key (make one with `bpfimg generate-key-pair`), or for an identity instead --signing-config FILE or --fulcio-url with --timestamp-server-url or --rekor-url: no public service is asked unless it is named")
	}
	if sign.LooksLikeToken(s.c.String("identity-token")) {
		return nil, usagef("--identity-token: this is a token itself, which everyone on the machine can read in the list of processes: give the name of a file, or set SIGSTORE_ID_TOKEN")
	}
	token, err := s.findToken(ctx, services)
	if err != nil {
		return nil, err
	}
	s.term.notice("signing as %s; certificate authority and log publish that", token)
	return sign.EphemeralKey()
}

// findToken puts an identity token into services. Tokens live for minutes, so what
// takes long calls it again.
func (s *session) findToken(ctx context.Context, services *sign.Services) (sign.Token, error) {
	token, err := sign.IdentityToken(ctx, sign.TokenOptions{File: s.c.String("identity-token"), Lookup: s.term.lookup})
	services.Token = token.Raw
	return token, err
}
