// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkixOf(t testing.TB, public crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	good := newKey(t)
	block, _ := pem.Decode(good.PEM)
	sum := sha256.Sum256(block.Bytes)
	if want := "sha256:" + hex.EncodeToString(sum[:]); good.ID != want {
		t.Errorf("id %s, want %s", good.ID, want)
	}
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		data []byte
		want string // "" for accepted
	}{
		{"as generated", good.PEM, ""},
		{"text before and space after", append(append([]byte("my key\n"), good.PEM...), "\n \n"...), ""},
		{"empty", nil, "no PEM block"},
		{"not PEM", []byte("ssh-ed25519 AAAA"), "no PEM block"},
		{"too large", append(bytes.Clone(good.PEM), make([]byte, MaxKey)...), "over the limit"},
		{"encrypted private key", pemOf("ENCRYPTED SIGSTORE PRIVATE KEY", []byte("secret")), "this is a private key"},
		{"private key", pemOf("PRIVATE KEY", []byte("secret")), "this is a private key"},
		{"certificate", pemOf("CERTIFICATE", []byte("x")), "this is a certificate"},
		{"another PEM type", pemOf("RSA PUBLIC KEY", []byte("x")), `want "PUBLIC KEY"`},
		{"two keys", append(bytes.Clone(good.PEM), newKey(t).PEM...), "more follows"},
		{"not PKIX", pemOf("PUBLIC KEY", []byte("x")), "asn1"},
		{"RSA of 1024 bits", pemOf("PUBLIC KEY", pkixOf(t, weak.Public())), "1024 bits"},
		{"P-224", pemOf("PUBLIC KEY", pkixOf(t, p224.Public())), "P-224"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key, err := ParseKey(tt.data, "a.pub")
			if tt.want == "" {
				if err != nil || key.ID != good.ID || key.File != "a.pub" || !bytes.Equal(key.PEM, good.PEM) {
					t.Errorf("key %+v, error %v", key, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), `"a.pub"`) {
				t.Errorf("error %v, want one with %q and the file", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error shows what is in the key: %v", err)
			}
		})
	}
}

func TestLoadKeys(t *testing.T) {
	t.Parallel()
	good, dir := newKey(t), t.TempDir()
	path := filepath.Join(dir, "a.pub")
	if err := os.WriteFile(path, good.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := LoadKeys(path, path)
	if err != nil || len(keys) != 2 || keys[0].ID != good.ID || keys[0].File != path {
		t.Errorf("keys %v, error %v", keys, err)
	}
	if _, err := LoadKeys(path, filepath.Join(dir, "gone.pub")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want ErrNotExist", err)
	}
	if err := os.WriteFile(path, make([]byte, MaxKey+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKeys(path); err == nil || !strings.Contains(err.Error(), path+": over the limit") {
		t.Errorf("large file: %v", err)
	}
}
