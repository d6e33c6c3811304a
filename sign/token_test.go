// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/sign"
)

// token is an unsigned JSON web token with the claims given.
func token(claims string) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"none"}`)) + "." + enc([]byte(claims)) + "." + enc([]byte("signature"))
}

func environment(m map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := m[name]; return v, ok }
}

const me = `{"iss":"https://issuer.example","sub":"me"}`

func TestIdentityToken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file, mounted := write("file", token(me)+"\n"), write("mounted", token(`{"iss":"https://i.example","sub":"mounted"}`))
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer runner" || r.URL.Query().Get("audience") != "sigstore" || r.URL.Query().Get("v") != "2" {
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		_, _ = w.Write([]byte(`{"count":1,"value":"` + token(`{"iss":"https://token.actions.example","sub":"repo:a/b"}`) + `"}`))
	}))
	defer github.Close()
	elsewhere := httptest.NewServer(http.RedirectHandler(github.URL, http.StatusTemporaryRedirect))
	defer elsewhere.Close()
	actions := func(url, bearer string) map[string]string {
		return map[string]string{"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": bearer}
	}
	variable := func(text string) map[string]string { return map[string]string{"SIGSTORE_ID_TOKEN": text} }
	nowhere := filepath.Join(dir, "nowhere")
	tests := []struct {
		name          string
		file, mounted string
		env           map[string]string
		who, fails    string
	}{
		{name: "file", file: file, env: variable("junk"), who: "me (https://issuer.example)"},
		{name: "no such file", file: nowhere, env: variable(token(me)), fails: "nowhere"},
		{name: "variable", env: variable(token(me)), mounted: mounted, who: "me (https://issuer.example)"},
		{name: "email", env: variable(token(`{"iss":"https://i.example","sub":"12345","email":"a@b.example"}`)), who: "a@b.example (https://i.example)"},
		{name: "GitHub", env: actions(github.URL+"?v=2", "runner"), mounted: mounted, who: "repo:a/b (https://token.actions.example)"},
		{name: "GitHub says no", env: actions(github.URL, "runner"), fails: "403"},
		{name: "GitHub elsewhere", env: actions(elsewhere.URL, "runner"), fails: "redirects"},
		{name: "GitHub without TLS", env: actions("http://runner.example/", "runner"), fails: "want https"},
		{name: "GitHub without permission", env: actions(github.URL, ""), fails: "id-token: write"},
		{name: "mounted", mounted: mounted, who: "mounted (https://i.example)"},
		{name: "nothing", fails: "no browser"},
		{name: "two parts", env: variable("a.b"), fails: "three parts"},
		{name: "not base64", env: variable("a.*.c"), fails: "not base64"},
		{name: "not JSON", env: variable(token("{")), fails: "not JSON"},
		{name: "no issuer", env: variable(token(`{"sub":"me"}`)), fails: "no issuer"},
		{name: "no subject", env: variable(token(`{"iss":"https://i.example"}`)), fails: "no subject"},
		{name: "expired", env: variable(token(`{"iss":"https://i.example","sub":"me","exp":1795000000}`)), fails: "expired at 2026-11-18"},
		{name: "expires later", env: variable(token(`{"iss":"https://i.example","sub":"me","exp":1795000001}`)), who: "me (https://i.example)"},
		{name: "huge", env: variable(token(`{"iss":"` + strings.Repeat("x", 16<<10) + `"}`)), fails: "not a JSON web token"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			opts := sign.TokenOptions{File: tt.file, Lookup: environment(tt.env), Mounted: tt.mounted, Now: func() time.Time { return time.Unix(1795000000, 0) }}
			if opts.Mounted == "" {
				opts.Mounted = nowhere
			}
			got, err := sign.IdentityToken(t.Context(), opts)
			if tt.fails != "" {
				if !errors.Is(err, sign.ErrToken) || !strings.Contains(err.Error(), tt.fails) {
					t.Fatalf("error %v, want %q", err, tt.fails)
				}
				if raw := tt.env["SIGSTORE_ID_TOKEN"]; len(raw) > 10 && strings.Contains(err.Error(), raw) {
					t.Error("the error has the token in it")
				}
				return
			}
			if err != nil || got.String() != tt.who {
				t.Errorf("%v, %v; want %s", got, err, tt.who)
			}
		})
	}
}

func TestLooksLikeToken(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		token(me): true, "eyJhbGciOi": true, "token": false, "/run/a.b.c": false, "": false,
	} {
		if sign.LooksLikeToken(text) != want {
			t.Errorf("%q: want %t", text, want)
		}
	}
}

// FuzzIdentityToken: no text makes the reader fall over, and no error quotes it.
func FuzzIdentityToken(f *testing.F) {
	f.Add(token(me))
	f.Add(token(`{"iss":"i","sub":"s","exp":1e300}`))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := sign.IdentityToken(t.Context(), sign.TokenOptions{
			Lookup: environment(map[string]string{"SIGSTORE_ID_TOKEN": text}), Mounted: filepath.Join(t.TempDir(), "x"),
		})
		if err == nil && (got.Issuer == "" || got.Subject == "" || got.Raw != strings.TrimSpace(text)) {
			t.Errorf("%q gave %+v", text, got)
		}
	})
}
