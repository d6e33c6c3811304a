// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/sigstore/sigstore/pkg/signature"
)

// MaxKey bounds a public key file, in bytes. The largest accepted key (RSA of
// 8192 bits) is below 2 KiB in PEM.
const MaxKey = 64 << 10

// RSA sizes accepted, in bits. The lower bound is what NIST SP 800-131A allows,
// the upper one keeps a hostile key from costing time.
const (
	minRSA = 2048
	maxRSA = 8192
)

// The PEM types of a public key: PKIX (RFC 7468, section 13), and for RSA alone the
// older PKCS #1 (RFC 8017, A.1.1).
const (
	pemPublicKey    = "PUBLIC KEY"
	pemRSAPublicKey = "RSA PUBLIC KEY"
)

// Key is a trusted public key. Make one with [ParseKey] or [LoadKeyFile].
type Key struct {
	// ID is "sha256:<hex>" of its PKIX DER form, File where it was read from.
	ID, File string
	// PEM holds the key in PKIX PEM form.
	PEM []byte
	// NotBefore and NotAfter bound when it may sign; zero: no bound.
	NotBefore, NotAfter time.Time
}

// Keys trusts each of its keys for every repository: the [Trust] of `--key`.
type Keys []Key

// Rule asks for a signature by any one of the keys, whatever the repository. No
// keys at all is an error wrapping [ErrNotTrusted].
func (k Keys) Rule(string) (Rule, error) {
	if len(k) == 0 {
		return Rule{}, fmt.Errorf("%w: no key to verify with: give --key or --policy", ErrNotTrusted)
	}
	return Rule{signers: signers{keys: k}, threshold: 1}, nil
}

// Denied says that nothing was revoked.
func (Keys) Denied(string) bool { return false }

// LoadKeys reads public key files.
func LoadKeys(files ...string) (Keys, error) {
	keys := make(Keys, 0, len(files))
	for _, file := range files {
		key, err := LoadKeyFile(file)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// LoadKeyFile reads a public key file of at most [MaxKey] bytes; see [ParseKey].
func LoadKeyFile(path string) (Key, error) {
	data, err := limited.ReadFile(path, MaxKey)
	if err != nil {
		return Key{}, fmt.Errorf("public key: %w", err)
	}
	return ParseKey(data, path)
}

// ParseKey parses one public key in PKIX PEM form, or PKCS #1 for RSA: ECDSA on
// P-256, P-384 or P-521, Ed25519, or RSA of 2048 to 8192 bits. name, a file name, is for errors
// and becomes the key's File.
func ParseKey(data []byte, name string) (Key, error) {
	public, err := parsePublic(data)
	if err != nil {
		return Key{}, fmt.Errorf("public key %q: %w", name, err)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return Key{}, fmt.Errorf("public key %q: %w", name, err)
	}
	return Key{
		ID:   keyID(der),
		File: name,
		PEM:  pem.EncodeToMemory(&pem.Block{Type: pemPublicKey, Bytes: der}),
	}, nil
}

// keyID is the id of a key in PKIX DER form.
func keyID(der []byte) string {
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func parsePublic(data []byte) (crypto.PublicKey, error) {
	block, err := onlyBlock(data)
	if err != nil {
		return nil, err
	}
	var public crypto.PublicKey
	switch {
	case block.Type == pemPublicKey:
		public, err = x509.ParsePKIXPublicKey(block.Bytes)
	case block.Type == pemRSAPublicKey:
		public, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case strings.HasSuffix(block.Type, "PRIVATE KEY"):
		return nil, errors.New("this is a private key: verify with the public one (cosign.pub), and keep this one off the node")
	case block.Type == "CERTIFICATE":
		return nil, errors.New("this is a certificate: take its key out with `openssl x509 -noout -pubkey`")
	default:
		return nil, fmt.Errorf("PEM type %q: want %q", block.Type, pemPublicKey)
	}
	if err != nil {
		return nil, err
	}
	return public, checkStrength(public)
}

// onlyBlock finds the PEM block of a key file. Text may stand around it, as openssl
// and people write there, and the same block again. Which of two keys is meant must
// not be a matter of order.
func onlyBlock(data []byte) (*pem.Block, error) {
	if len(data) > MaxKey {
		return nil, fmt.Errorf("over the limit of %d bytes", MaxKey)
	}
	if bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return nil, errors.New("it is text in UTF-16: write it again as UTF-8")
	}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // what editors on Windows begin UTF-8 with
	begun := bytes.Count(data, []byte("-----BEGIN "))
	var first *pem.Block
	for ; begun > 0; begun-- {
		block, rest := pem.Decode(data)
		switch {
		case block == nil:
			return nil, errors.New("a PEM block in it is damaged")
		case first == nil:
			first = block
		case block.Type != first.Type || !bytes.Equal(block.Bytes, first.Bytes):
			return nil, errors.New("more follows the first key: one key a file")
		}
		data = rest
	}
	if first == nil {
		return nil, errors.New("no PEM block: want the file cosign.pub that `bpfimg generate-key-pair` writes")
	}
	return first, nil
}

func checkStrength(public crypto.PublicKey) error {
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() && k.Curve != elliptic.P384() && k.Curve != elliptic.P521() {
			return fmt.Errorf("ECDSA curve %s: want P-256, P-384 or P-521", k.Curve.Params().Name)
		}
	case *rsa.PublicKey:
		if bits := k.N.BitLen(); bits < minRSA || bits > maxRSA {
			return fmt.Errorf("RSA key of %d bits: want %d to %d", bits, minRSA, maxRSA)
		}
	case ed25519.PublicKey:
	default:
		return fmt.Errorf("key kind %T: want ECDSA, Ed25519 or RSA", public)
	}
	return nil
}

// verifier checks signatures by one trusted key.
type verifier struct {
	key Key
	// forms are the ways cosign has signed with such a key, the present one
	// first. They cannot be mistaken for one another: the hash or the domain
	// separation differs.
	forms []signature.Verifier
}

// newVerifier parses key anew, so that one made by hand is held to the same
// rules, and its ID is what it says.
func newVerifier(key Key) (verifier, error) {
	parsed, err := ParseKey(key.PEM, key.File)
	if err != nil {
		return verifier{}, err
	}
	public, err := parsePublic(parsed.PEM)
	if err != nil {
		return verifier{}, err
	}
	parsed.NotBefore, parsed.NotAfter = key.NotBefore, key.NotAfter
	v := verifier{key: parsed}
	for _, load := range formsOf(public) {
		form, err := load()
		if err != nil {
			return verifier{}, fmt.Errorf("public key %q: %w", key.File, err)
		}
		v.forms = append(v.forms, form)
	}
	return v, nil
}

func newVerifiers(keys []Key) ([]verifier, error) {
	all := make([]verifier, 0, len(keys))
	for _, key := range keys {
		v, err := newVerifier(key)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, nil
}

// formsOf lists the signature schemes for a kind of key. Older cosign hashed
// with SHA-256 whatever the curve; Ed25519 is pre-hashed (RFC 8032, section 5.1)
// in most of what cosign writes and pure in the rest.
func formsOf(public crypto.PublicKey) []func() (signature.Verifier, error) {
	hashed := func(h crypto.Hash) func() (signature.Verifier, error) {
		return func() (signature.Verifier, error) { return signature.LoadVerifier(public, h) }
	}
	switch k := public.(type) {
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P384():
			return []func() (signature.Verifier, error){hashed(crypto.SHA384), hashed(crypto.SHA256)}
		case elliptic.P521():
			return []func() (signature.Verifier, error){hashed(crypto.SHA512), hashed(crypto.SHA256)}
		}
	case ed25519.PublicKey:
		return []func() (signature.Verifier, error){
			func() (signature.Verifier, error) { return signature.LoadED25519phVerifier(k) },
			func() (signature.Verifier, error) { return signature.LoadED25519Verifier(k) },
		}
	}
	return []func() (signature.Verifier, error){hashed(crypto.SHA256)}
}
