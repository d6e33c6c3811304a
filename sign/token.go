// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
)

// maxToken bounds an identity token, in bytes: servers take headers of 8 KiB or
// little more.
const maxToken = 16 << 10

// ErrToken: there is no identity token, or it cannot be used; test with
// [errors.Is].
var ErrToken = errors.New("no usable identity token")

// tokenAudience is whom a token is for, unless the service is told otherwise
// (sigstore/fulcio, docs/oidc.md).
const tokenAudience = "sigstore"

// tokenFile is where a token may be mounted (sigstore/cosign,
// pkg/providers/filesystem).
const tokenFile = "/var/run/sigstore/cosign/oidc-token"

// TokenOptions say where [IdentityToken] looks.
type TokenOptions struct {
	// File is read if it is not "", and nothing else is asked then.
	File string
	// Lookup reads an environment variable; required.
	Lookup func(string) (string, bool)
	// Mounted is read last; default: the place of cosign's tokens.
	Mounted string
	// Now, default [time.Now], is when the token must be valid.
	Now func() time.Time
}

// Token is an identity token, a JSON web token whose signature only its
// receiver checks.
type Token struct {
	// Raw is what is sent. It is a secret until it expires.
	Raw string
	// Issuer and Subject are what it claims; Email is what Fulcio prefers to the
	// subject, if there is one.
	Issuer, Subject, Email string
}

// IdentityToken finds the token of a keyless signature: in a file; in
// SIGSTORE_ID_TOKEN, where GitLab CI puts one; from GitHub Actions, when the
// workflow has the permission "id-token: write"; or mounted. No browser is
// opened: where a person sits, a key is at hand. The error wraps [ErrToken].
func IdentityToken(ctx context.Context, opts TokenOptions) (Token, error) {
	raw, from, err := findToken(ctx, opts)
	if err != nil {
		return Token{}, err
	}
	now := time.Now
	if opts.Now != nil {
		now = opts.Now
	}
	t, err := parseToken(raw, now())
	if err != nil {
		return Token{}, fmt.Errorf("%w: the one %s %w", ErrToken, from, err)
	}
	return t, nil
}

func findToken(ctx context.Context, opts TokenOptions) (raw, from string, err error) {
	if opts.File != "" {
		raw, err = readToken(opts.File)
		return raw, "in " + opts.File, err
	}
	if raw, ok := opts.Lookup("SIGSTORE_ID_TOKEN"); ok && raw != "" {
		return raw, "in SIGSTORE_ID_TOKEN", nil
	}
	address, _ := opts.Lookup("ACTIONS_ID_TOKEN_REQUEST_URL")
	bearer, _ := opts.Lookup("ACTIONS_ID_TOKEN_REQUEST_TOKEN")
	if address != "" && bearer != "" {
		raw, err = askGitHub(ctx, address, bearer)
		return raw, "of GitHub Actions", err
	}
	mounted := opts.Mounted
	if mounted == "" {
		mounted = tokenFile
	}
	raw, err = readToken(mounted)
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("%w: want one in a file (--identity-token FILE) or in SIGSTORE_ID_TOKEN, a GitHub workflow with the permission id-token: write, or %s; no browser is opened", ErrToken, mounted)
	}
	return raw, "in " + mounted, err
}

func readToken(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrToken, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxToken+2))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrToken, err)
	}
	return string(data), nil
}

// askGitHub gets a token from GitHub's runner service (docs.github.com, "OpenID
// Connect reference", "Methods for requesting the OIDC token").
func askGitHub(ctx context.Context, address, bearer string) (string, error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("%w: asking GitHub Actions: %w", ErrToken, err)
	}
	u, err := url.Parse(address)
	if err == nil {
		err = checkURL(address, false)
	}
	if err != nil {
		return fail(err)
	}
	q := u.Query()
	q.Set("audience", tokenAudience)
	u.RawQuery = q.Encode()
	ctx, cancel := context.WithTimeout(ctx, serviceTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return fail(err)
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := (&http.Client{Transport: bounded{ctx}}).Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fail(fmt.Errorf("status %s", resp.Status))
	}
	var answer struct {
		Value string `json:"value"`
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, 2*maxToken))
	if err != nil {
		return fail(err)
	}
	if err := boundedjson.Unmarshal(data, &answer); err != nil {
		return fail(err)
	}
	return answer.Value, nil
}

// LooksLikeToken says whether text is a token itself rather than the name of
// something.
func LooksLikeToken(text string) bool {
	_, err := parseToken(text, time.Time{})
	return err == nil || strings.HasPrefix(text, "eyJ")
}

// parseToken reads what a token claims. No error holds any of it but times.
func parseToken(raw string, now time.Time) (Token, error) {
	raw = strings.TrimSpace(raw)
	parts := strings.Split(raw, ".")
	if len(raw) > maxToken || len(parts) != 3 {
		return Token{}, errors.New("is not a JSON web token: want three parts between dots")
	}
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.DecodeString(part); err != nil || part == "" {
			return Token{}, errors.New("is not a JSON web token: a part is not base64")
		}
	}
	body, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return Token{}, errors.New("is not a JSON web token: a part is not base64")
	}
	var claims struct {
		Issuer  string   `json:"iss"`
		Subject string   `json:"sub"`
		Email   string   `json:"email"`
		Expires *float64 `json:"exp"`
	}
	if err := boundedjson.Unmarshal(body, &claims); err != nil {
		return Token{}, errors.New("is not a JSON web token: its claims are not JSON")
	}
	if claims.Issuer == "" || claims.Subject == "" {
		return Token{}, errors.New("names no issuer or no subject")
	}
	// A second of 253402300800 or later has five digits for the year.
	if e := claims.Expires; e != nil && *e > 0 && *e < 253402300800 && !now.Before(time.Unix(int64(*e), 0)) {
		return Token{}, fmt.Errorf("expired at %s", time.Unix(int64(*e), 0).UTC().Format(time.RFC3339))
	}
	return Token{Raw: raw, Issuer: claims.Issuer, Subject: claims.Subject, Email: claims.Email}, nil
}

// String names whom the token is for, without the token.
func (t Token) String() string {
	who := t.Subject
	if t.Email != "" {
		who = t.Email
	}
	return who + " (" + t.Issuer + ")"
}
