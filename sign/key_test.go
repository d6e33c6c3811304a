// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/bpfimg/bpfimg/sign"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	sslib "github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

func TestKeyPairRoundTrip(t *testing.T) {
	t.Parallel()
	for _, password := range []string{"", "correct horse", "pässwörd\x00\n"} {
		pair, err := sign.GenerateKeyPair([]byte(password))
		if err != nil {
			t.Fatal(err)
		}
		signer, err := sign.LoadKey(pair.PrivatePEM, []byte(password))
		if err != nil {
			t.Fatalf("password %q: %v", password, err)
		}
		public, err := cryptoutils.UnmarshalPEMToPublicKey(pair.PublicPEM)
		if err != nil {
			t.Fatal(err)
		}
		if ec, ok := public.(*ecdsa.PublicKey); !ok || ec.Curve != elliptic.P256() {
			t.Fatalf("public key is a %T, want ECDSA on P-256", public)
		}
		checkPair(t, signer, public)
		around := bytes.ReplaceAll([]byte("\ufeffmy key\n"+string(pair.PrivatePEM)+"of mine\n"), []byte("\n"), []byte("\r\n"))
		if _, err := sign.LoadKey(around, []byte(password)); err != nil {
			t.Errorf("text around the key: %v", err)
		}
		if _, err := sign.LoadKey(pair.PrivatePEM, []byte(password+"x")); !errors.Is(err, sign.ErrPassword) {
			t.Errorf("wrong password: %v, want ErrPassword", err)
		}
	}
}

// checkPair fails unless public verifies what signer signs.
func checkPair(t *testing.T, signer signature.SignerVerifier, public any) {
	t.Helper()
	message := []byte("message")
	sig, err := signer.SignMessage(bytes.NewReader(message))
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signature.LoadDefaultVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)); err != nil {
		t.Error(err)
	}
}

func TestLoadKeyOlderHeader(t *testing.T) {
	t.Parallel()
	pair := keyPair(t)
	old := bytes.ReplaceAll(pair.PrivatePEM, []byte("SIGSTORE"), []byte("COSIGN"))
	if _, err := sign.LoadKey(old, []byte(password)); err != nil {
		t.Error(err)
	}
}

// password is that of the keys below.
const password = "p"

// aPair is a fresh key pair for tests that only read it: making one, and reading
// its private key, takes scrypt a quarter of a second and 64 MiB each.
var aPair = sync.OnceValues(func() (sign.KeyPair, error) { return sign.GenerateKeyPair([]byte(password)) })

// keyPair is [aPair].
func keyPair(t *testing.T) sign.KeyPair {
	t.Helper()
	pair, err := aPair()
	if err != nil {
		t.Fatal(err)
	}
	return pair
}

// encrypted is private in the form `cosign import-key-pair` writes, with our
// password.
func encrypted(private any) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, err
	}
	body, err := sslib.EncryptWithCustomKDFParameters(der, []byte(password), sslib.Legacy)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: body}), nil
}

// TestSignatureForms: each kind of key signs in the form `cosign verify --key`
// reads: SHA-256 whatever the curve, and plain Ed25519.
func TestSignatureForms(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"P-384", "Ed25519", "RSA"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer, public := loaded(t, name)
			repo := newMemory()
			repo.add("v1", `{}`)
			for range 2 { // the second time finds its own
				if _, err := sign.Sign(t.Context(), repo, reference(t, "reg.example/a:v1"), signer, sign.Options{Legacy: true}); err != nil {
					t.Fatal(err)
				}
			}
			var payloads int
			for tag, at := range repo.tags {
				var m ocispec.Manifest
				if err := json.Unmarshal(repo.manifests[at].Bytes, &m); err != nil {
					t.Fatal(tag, err)
				}
				for _, layer := range m.Layers {
					payloads++
					checkSHA256(t, public, repo.blobs[layer.Digest], layer.Annotations["dev.cosignproject.cosign/signature"])
				}
			}
			if payloads != 1 {
				t.Errorf("%d signatures, want 1", payloads)
			}
		})
	}
}

func checkSHA256(t *testing.T, public crypto.PublicKey, message []byte, encoded string) {
	t.Helper()
	sig, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := signature.LoadVerifier(public, crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.VerifySignature(bytes.NewReader(sig), bytes.NewReader(message)); err != nil {
		t.Error(err)
	}
}

func TestLoadKeyRefusals(t *testing.T) {
	t.Parallel()
	pair := keyPair(t)
	block, _ := pem.Decode(pair.PrivatePEM)
	sealed := func(body []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: body})
	}
	weakKey, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := encrypted(weakKey)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "no PEM block"},
		{"not PEM", []byte("hello"), "no PEM block"},
		{"too large", make([]byte, sign.MaxKey+1), "over the limit"},
		{"public key", pair.PublicPEM, "this is a public key"},
		{"unencrypted", pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("secret")}), "import-key-pair"},
		{"certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")}), "not a private key"},
		{"RSA of 1024 bits", weak, "not supported"},
		{"not JSON inside", sealed([]byte("secret")), "damaged"},
		{"scrypt of another cost", sealed(bytes.Replace(block.Bytes, []byte("65536"), []byte("99999"), 1)), "damaged"},
		{"nonce of another size", sealed(bytes.Replace(block.Bytes, []byte(`"nonce":"`), []byte(`"nonce":"AAAA`), 1)), "damaged"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sign.LoadKey(tt.data, []byte(password))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error shows what is in the key: %v", err)
			}
		})
	}
}
