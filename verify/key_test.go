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
		{"text after", append(bytes.Clone(good.PEM), "# my key\n"...), ""},
		{"text around, CRLF", bytes.ReplaceAll([]byte("my key\n"+string(good.PEM)+"of mine\n"), []byte("\n"), []byte("\r\n")), ""},
		{"byte-order mark", append([]byte("\ufeff"), good.PEM...), ""},
		{"UTF-16", []byte("\xff\xfe-\x00-\x00"), "UTF-16"},
		{"the same key twice", append(bytes.Clone(good.PEM), good.PEM...), ""},
		{"another PEM type", pemOf("DSA PUBLIC KEY", []byte("x")), `want "PUBLIC KEY"`},
		{"not PKCS #1", pemOf("RSA PUBLIC KEY", []byte("x")), "asn1"},
		{"PKCS #1 of 1024 bits", pemOf("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&weak.PublicKey)), "1024 bits"},
		{"two keys", append(bytes.Clone(good.PEM), newKey(t).PEM...), "more follows"},
		{"two keys, text between", append(append(bytes.Clone(good.PEM), "another:\n"...), newKey(t).PEM...), "more follows"},
		{"a private key after", append(bytes.Clone(good.PEM), pemOf("PRIVATE KEY", []byte("secret"))...), "more follows"},
		{"a damaged key after", append(bytes.Clone(good.PEM), "-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n"...), "damaged"},
		{"a damaged key before", append([]byte("-----BEGIN PUBLIC KEY-----\n!\n-----END PUBLIC KEY-----\n"), good.PEM...), "damaged"},
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

// TestPKCS1: the same RSA key in either form is the same key.
func TestPKCS1(t *testing.T) {
	t.Parallel()
	private, err := rsa.GenerateKey(rand.Reader, minRSA)
	if err != nil {
		t.Fatal(err)
	}
	old, err := ParseKey(pemOf(pemRSAPublicKey, x509.MarshalPKCS1PublicKey(&private.PublicKey)), "old.pub")
	if err != nil {
		t.Fatal(err)
	}
	now, err := ParseKey(pemOf(pemPublicKey, pkixOf(t, private.Public())), "now.pub")
	if err != nil || now.ID != old.ID || !bytes.Equal(now.PEM, old.PEM) {
		t.Errorf("got %+v and %+v, %v", old, now, err)
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
