// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/sign"
	"github.com/google/go-cmp/cmp"
)

// config is a signing config with one service of each kind per API version.
const config = `{
 "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
 "caUrls": [{"url": "https://fulcio.example", "majorApiVersion": 1, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "o"}],
 "rekorTlogUrls": [
  {"url": "https://two.example", "majorApiVersion": 2, "validFor": {"start": "2026-01-01T00:00:00Z"}, "operator": "o"},
  {"url": "https://one.example", "majorApiVersion": 1, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "o"},
  {"url": "https://nine.example", "majorApiVersion": 9, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "o"}],
 "rekorTlogConfig": {"selector": "ANY"},
 "tsaUrls": [{"url": "https://tsa.example/ts", "majorApiVersion": 1, "validFor": {"start": "2024-01-01T00:00:00Z"}, "operator": "o"}],
 "tsaConfig": {"selector": "ANY"}
}`

func TestReadSigningConfig(t *testing.T) {
	t.Parallel()
	at := func(year int) time.Time { return time.Date(year, 6, 1, 0, 0, 0, 0, time.UTC) }
	got, err := sign.ReadSigningConfig([]byte(config), at(2026))
	if err != nil {
		t.Fatal(err)
	}
	want := sign.Services{
		Fulcio: "https://fulcio.example", Logs: []sign.Log{{URL: "https://two.example", Version: 2}}, Timestamps: []string{"https://tsa.example/ts"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got, err = sign.ReadSigningConfig([]byte(config), at(2025)); err != nil || got.Logs[0].URL != "https://one.example" {
		t.Errorf("before the log of version 2: %v, %v", got.Logs, err)
	}
	for name, text := range map[string]string{
		"not JSON": `{`, "old": `{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.1+json"}`, "huge": config + strings.Repeat(" ", sign.MaxSigningConfig),
	} {
		if _, err := sign.ReadSigningConfig([]byte(text), at(2026)); !errors.Is(err, sign.ErrServices) {
			t.Errorf("%s: error %v, want ErrServices", name, err)
		}
	}
	if _, err := sign.ReadSigningConfig([]byte(config), at(2023)); !errors.Is(err, sign.ErrServices) {
		t.Errorf("before all of them: error %v, want ErrServices", err)
	}
}

// FuzzReadSigningConfig: no file makes the reader fall over.
func FuzzReadSigningConfig(f *testing.F) {
	f.Add([]byte(config))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","caUrls":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := sign.ReadSigningConfig(data, time.Unix(1795000000, 0)); err != nil && !errors.Is(err, sign.ErrServices) {
			t.Errorf("error %v", err)
		}
	})
}

// TestServiceFailures: whatever goes wrong at the services, nothing is written.
func TestServiceFailures(t *testing.T) {
	t.Parallel()
	var authorization string
	answer := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if a := r.Header.Get("Authorization"); a != "" {
				authorization = a
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	denied, junk, empty := answer(403, "not you"), answer(200, "junk"), answer(200, "{}")
	moved := httptest.NewServer(http.RedirectHandler(denied, http.StatusTemporaryRedirect))
	defer moved.Close()
	release := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer silent.Close()
	defer close(release)
	tests := []struct {
		name     string
		services sign.Services
		want     string
		wraps    error
	}{
		{"Fulcio says no", sign.Services{Fulcio: denied, Timestamps: []string{junk}}, "not you", nil},
		{"Fulcio says nothing", sign.Services{Fulcio: empty, Timestamps: []string{junk}}, "no certificates", nil},
		{"Fulcio elsewhere", sign.Services{Fulcio: moved.URL, Timestamps: []string{junk}}, "redirects", nil},
		{"Fulcio silent", sign.Services{Fulcio: silent.URL, Timestamps: []string{junk}}, "deadline", context.DeadlineExceeded},
		{"timestamp refused", sign.Services{Timestamps: []string{denied}}, "403", nil},
		{"timestamp is junk", sign.Services{Timestamps: []string{junk}}, "making the bundle", nil},
		{"log refuses", sign.Services{Logs: []sign.Log{{URL: denied, Version: 2}}}, "403", nil},
		{"log is junk", sign.Services{Logs: []sign.Log{{URL: junk, Version: 2}}}, "making the bundle", nil},
		{"log silent", sign.Services{Logs: []sign.Log{{URL: silent.URL, Version: 2}}}, "deadline", context.DeadlineExceeded},
		{"no token", sign.Services{Fulcio: denied, Token: "-", Timestamps: []string{junk}}, "needs an identity token", sign.ErrServices},
		{"no proof of time", sign.Services{Fulcio: denied}, "valid for minutes", sign.ErrServices},
		{"log without time", sign.Services{Fulcio: denied, Logs: []sign.Log{{URL: junk, Version: 2}}}, "valid for minutes", sign.ErrServices},
		{"Fulcio without TLS", sign.Services{Fulcio: "http://fulcio.example", Timestamps: []string{junk}}, "want https", sign.ErrServices},
		{"look-alike of loopback", sign.Services{Fulcio: "http://localhost.example", Timestamps: []string{junk}}, "want https", sign.ErrServices},
		{"log without TLS", sign.Services{Logs: []sign.Log{{URL: "http://log.example"}}}, "want https", sign.ErrServices},
		{"password in the address", sign.Services{Timestamps: []string{"https://u:p@tsa.example"}}, "want https", sign.ErrServices},
		{"file", sign.Services{Timestamps: []string{"file:///etc/passwd"}}, "want https", sign.ErrServices},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			repo := newMemory()
			repo.add("v1", `{}`)
			switch tt.services.Token {
			case "":
				tt.services.Token = token(me)
			case "-":
				tt.services.Token = ""
			}
			ctx := t.Context()
			if errors.Is(tt.wraps, context.DeadlineExceeded) {
				short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
				defer cancel()
				ctx = short
			}
			_, err := sign.Sign(ctx, repo, reference(t, "reg.example/a:v1"), newSigner(t), sign.Options{Services: tt.services})
			if err == nil || !strings.Contains(err.Error(), tt.want) || (tt.wraps != nil && !errors.Is(err, tt.wraps)) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if strings.Contains(err.Error(), token(me)) {
				t.Error("the error has the token in it")
			}
			if len(repo.blobs) != 0 {
				t.Error("something was written")
			}
		})
	}
	if authorization != "Bearer "+token(me) {
		t.Errorf("Fulcio got %q", authorization)
	}
}
