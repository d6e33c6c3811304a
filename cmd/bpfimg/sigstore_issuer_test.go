// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Where the issuer plays GitHub: its own issuer, and the address jobs ask for a
// token.
const (
	githubPath = "/github"
	runnerPath = "/runner"
	// runnerBearer is what a job shows there.
	runnerBearer = "job"
)

// issuer is an OpenID Connect provider, reduced to what certificate authorities
// ask for: its configuration, its keys and signed tokens.
type issuer struct {
	server *httptest.Server
	key    *rsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{key: key}
	i.server = httptest.NewServer(i)
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) url() string { return i.server.URL }

// ServeHTTP implements [http.Handler].
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	const discovery = "/.well-known/openid-configuration"
	switch r.URL.Path {
	case discovery, githubPath + discovery:
		at := i.url() + r.URL.Path[:len(r.URL.Path)-len(discovery)]
		answer(map[string]any{
			"issuer": at, "jwks_uri": i.url() + "/keys", "authorization_endpoint": at + "/auth", "token_endpoint": at + "/token",
			"id_token_signing_alg_values_supported": []string{"RS256"}, "response_types_supported": []string{"id_token"}, "subject_types_supported": []string{"public"},
		})
	case "/keys":
		enc := base64.RawURLEncoding.EncodeToString
		answer(map[string]any{"keys": []map[string]string{{
			"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1",
			"n": enc(i.key.N.Bytes()), "e": enc(big.NewInt(int64(i.key.E)).Bytes()),
		}}})
	case runnerPath:
		token, err := i.githubToken(r.URL.Query().Get("audience"))
		if err != nil || r.Header.Get("Authorization") != "Bearer "+runnerBearer {
			http.Error(w, "no token for you", http.StatusForbidden)
			return
		}
		answer(map[string]any{"count": 1, "value": token})
	default:
		http.NotFound(w, r)
	}
}

// sign returns a token with the claims and those every token has.
func (i *issuer) sign(claims map[string]any) (string, error) {
	all := map[string]any{"exp": time.Now().Add(10 * time.Minute).Unix(), "iat": time.Now().Unix(), "nbf": time.Now().Add(-time.Minute).Unix()}
	maps.Copy(all, claims)
	body, err := json.Marshal(all)
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding.EncodeToString
	signed := enc([]byte(`{"alg":"RS256","typ":"JWT","kid":"1"}`)) + "." + enc(body)
	sum := sha256.Sum256([]byte(signed))
	sig, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	return signed + "." + enc(sig), err
}

func (i *issuer) personToken(t *testing.T) string {
	t.Helper()
	token, err := i.sign(map[string]any{"iss": i.url(), "aud": "sigstore", "sub": "4711", "email": "dev@bpfimg.test", "email_verified": true})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// githubToken claims what GitHub says of a job (docs.github.com, "OpenID Connect
// reference", "OIDC token claims").
func (i *issuer) githubToken(audience string) (string, error) {
	const workflow = "acme/net/.github/workflows/release.yml@refs/heads/main"
	return i.sign(map[string]any{
		"iss": i.url() + githubPath, "aud": audience, "sub": "repo:acme/net:ref:refs/heads/main",
		"event_name": "push", "sha": "0123456789abcdef0123456789abcdef01234567", "workflow": "release", "repository": "acme/net",
		"ref": "refs/heads/main", "job_workflow_ref": workflow, "job_workflow_sha": "0123456789abcdef0123456789abcdef01234567",
		"runner_environment": "github-hosted", "repository_id": "1", "repository_owner": "acme", "repository_owner_id": "2",
		"repository_visibility": "public", "workflow_ref": workflow, "workflow_sha": "0123456789abcdef0123456789abcdef01234567",
		"run_id": "7", "run_attempt": "1",
	})
}

// fulcioConfig tells Fulcio to believe this issuer.
func (i *issuer) fulcioConfig() []byte {
	type entry struct {
		IssuerURL, ClientID, Type string
	}
	data, err := json.Marshal(map[string]any{"OIDCIssuers": map[string]entry{
		i.url():              {i.url(), "sigstore", "email"},
		i.url() + githubPath: {i.url() + githubPath, "sigstore", "github-workflow"},
	}})
	if err != nil {
		return nil // strings always encode
	}
	return data
}
