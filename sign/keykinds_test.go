// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/sign"
)

// TestKeysForLogs: a key whose signatures the log takes in another form only than
// cosign verifies is refused before anything is asked or written.
func TestKeysForLogs(t *testing.T) {
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked = true
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	v1, v2 := sign.Log{URL: server.URL, Version: 1}, sign.Log{URL: server.URL, Version: 2}
	for _, tt := range []struct {
		name    string
		private crypto.Signer
		logs    []sign.Log
		refused string // "": the log is asked
	}{
		{"P-256", newECDSA(t, elliptic.P256()), []sign.Log{v2}, ""},
		{"RSA", newRSA(t), []sign.Log{v2}, ""},
		{"P-384", newECDSA(t, elliptic.P384()), []sign.Log{v2}, "an ECDSA key on P-384"},
		{"P-521", newECDSA(t, elliptic.P521()), []sign.Log{v2}, "an ECDSA key on P-521"},
		{"Ed25519", newEd25519(t), []sign.Log{v2}, "an Ed25519 key"},
		{"P-384, older log", newECDSA(t, elliptic.P384()), []sign.Log{v1}, ""},
		{"P-384, both", newECDSA(t, elliptic.P384()), []sign.Log{v1, v2}, "an ECDSA key on P-384"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked = false
			signer, err := sign.LoadKey(encrypted(t, tt.private), []byte("p"))
			if err != nil {
				t.Fatal(err)
			}
			repo := newMemory()
			repo.add("v1", `{}`)
			_, err = sign.Sign(t.Context(), repo, reference(t, "reg.example/a:v1"), signer, sign.Options{Services: sign.Services{Logs: tt.logs}})
			if len(repo.blobs) != 0 {
				t.Error("something was written")
			}
			if tt.refused == "" {
				if err == nil || errors.Is(err, sign.ErrServices) || !asked {
					t.Errorf("error %v, want one of the log", err)
				}
				return
			}
			if !errors.Is(err, sign.ErrServices) || !strings.Contains(err.Error(), tt.refused) || asked {
				t.Errorf("error %v, want ErrServices with %q; asked the log: %t", err, tt.refused, asked)
			}
		})
	}
}

func newECDSA(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func newEd25519(t *testing.T) crypto.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func newRSA(t *testing.T) crypto.Signer {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return private
}
