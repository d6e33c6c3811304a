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
	"sync"
	"testing"

	"github.com/bpfimg/bpfimg/sign"
	"github.com/sigstore/sigstore/pkg/signature"
)

// TestKeysForLogs: a key whose signatures the log takes in another form only than
// cosign verifies is refused before anything is asked or written.
func TestKeysForLogs(t *testing.T) {
	t.Parallel()
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked = true
		w.WriteHeader(http.StatusTeapot)
	}))
	defer server.Close()
	v1, v2 := sign.Log{URL: server.URL, Version: 1}, sign.Log{URL: server.URL, Version: 2}
	for _, tt := range []struct {
		name, kind string
		logs       []sign.Log
		refused    string // "": the log is asked
	}{
		{"P-256", "P-256", []sign.Log{v2}, ""},
		{"RSA", "RSA", []sign.Log{v2}, ""},
		{"P-384", "P-384", []sign.Log{v2}, "an ECDSA key on P-384"},
		{"P-521", "P-521", []sign.Log{v2}, "an ECDSA key on P-521"},
		{"Ed25519", "Ed25519", []sign.Log{v2}, "an Ed25519 key"},
		{"P-384, older log", "P-384", []sign.Log{v1}, ""},
		{"P-384, both", "P-384", []sign.Log{v1, v2}, "an ECDSA key on P-384"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asked = false
			signer, _ := loaded(t, tt.kind)
			repo := newMemory()
			repo.add("v1", `{}`)
			_, err := sign.Sign(t.Context(), repo, reference(t, "reg.example/a:v1"), signer, sign.Options{Services: sign.Services{Logs: tt.logs}})
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

// kinds makes a key of each kind.
var kinds = map[string]func() (crypto.Signer, error){
	"P-256": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) },
	"P-384": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P384(), rand.Reader) },
	"P-521": func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P521(), rand.Reader) },
	"Ed25519": func() (crypto.Signer, error) {
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	},
	"RSA": func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) },
}

// loadedKey is a key that [sign.LoadKey] has read.
type loadedKey struct {
	signer signature.SignerVerifier
	public crypto.PublicKey
}

// loadedKeys has one of each kind, made when first asked for: see [aPair].
var loadedKeys = func() map[string]func() (loadedKey, error) {
	all := map[string]func() (loadedKey, error){}
	for kind, newKey := range kinds {
		all[kind] = sync.OnceValues(func() (loadedKey, error) {
			private, err := newKey()
			if err != nil {
				return loadedKey{}, err
			}
			data, err := encrypted(private)
			if err != nil {
				return loadedKey{}, err
			}
			signer, err := sign.LoadKey(data, []byte(password))
			return loadedKey{signer, private.Public()}, err
		})
	}
	return all
}()

// loaded is the key of a kind.
func loaded(t *testing.T, kind string) (signature.SignerVerifier, crypto.PublicKey) {
	t.Helper()
	key, err := loadedKeys[kind]()
	if err != nil {
		t.Fatal(err)
	}
	return key.signer, key.public
}
