// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image/hosts"
)

// TestCheckLogin: right, wrong and pointless credentials, over basic and bearer.
func TestCheckLogin(t *testing.T) {
	t.Parallel()
	basic, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Authorization") != basicHeader() {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	bearer, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/token" && req.Header.Get("Authorization") == basicHeader():
			fmt.Fprint(w, `{"token":"t"}`)
		case req.URL.Path == "/token":
			w.WriteHeader(http.StatusForbidden)
		case req.Header.Get("Authorization") != "Bearer t":
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+req.Host+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	open, _ := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	none, _ := serve(t, http.NotFoundHandler())
	for _, test := range []struct {
		host, password string
		checked        bool
		want           error
	}{
		{basic, secret, true, nil},
		{basic, "wrong", true, ErrUnauthorized},
		{bearer, secret, true, nil},
		{bearer, "wrong", true, ErrUnauthorized},
		{open, "wrong", false, nil},
	} {
		checked, err := testClient(t, RegistryOptions{}).CheckLogin(t.Context(), test.host, "user", test.password)
		if checked != test.checked || !errors.Is(err, test.want) || err != nil && strings.Contains(err.Error(), test.password) {
			t.Errorf("%+v: got %t, %v", test, checked, err)
		}
	}
	for _, host := range []string{none, nobody(t)} {
		if _, err := testClient(t, RegistryOptions{}).CheckLogin(t.Context(), host, "user", secret); err == nil || errors.Is(err, ErrUnauthorized) {
			t.Errorf("no registry: got %v", err)
		}
	}
	blocked := withSettings(t, "registries: [{prefix: '"+basic+"', blocked: true}]", RegistryOptions{})
	if _, err := blocked.CheckLogin(t.Context(), basic, "user", secret); !errors.Is(err, hosts.ErrBlocked) {
		t.Errorf("got %v, want ErrBlocked", err)
	}
}

func TestParseRegistry(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]string{
		"docker.io": "docker.io", "index.docker.io": "docker.io", "localhost:5000": "localhost:5000", "[::1]:5000": "[::1]:5000",
		"https://a.example": "a.example", "https://a.example/": "a.example", "http://a.example:5000/v2/": "a.example:5000",
		"a.example/v1/": "a.example", "https://index.docker.io/v1/": "docker.io", "a.example//": "a.example",
		"a.example/b": "", "https://a.example/b": "", "https://bob:secret@a.example": "", "": "", "https://": "", "a.example:0": "", "a b": "", "ftp://a.example": "",
	} {
		got, err := ParseRegistry(s)
		if got != want || (err == nil) != (want != "") || err != nil && (!errors.Is(err, ErrReference) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%q: got %q, %v", s, got, err)
		}
	}
}

// sesame is the password above as htpasswd -B writes it.
const sesame = "$2y$05$abcdefghijklmnopqrstuutXu9KzOt.1yBoZUeFWoT/914/JfszCO"

// TestCheckLoginAtDebian: the registry people run, with its accounts.
func TestCheckLoginAtDebian(t *testing.T) {
	t.Parallel()
	htpasswd := filepath.Join(t.TempDir(), "htpasswd")
	if err := os.WriteFile(htpasswd, []byte("user:"+sesame+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := startRegistry(t, "docker-registry", "auth: {htpasswd: {realm: test, path: "+htpasswd+"}}\n")
	client := testClient(t, RegistryOptions{})
	if checked, err := client.CheckLogin(t.Context(), address, "user", secret); err != nil || !checked {
		t.Errorf("got %t, %v", checked, err)
	}
	if _, err := client.CheckLogin(t.Context(), address, "user", "wrong"); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("got %v, want ErrUnauthorized", err)
	}
}
