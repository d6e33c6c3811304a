// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/secure-systems-lab/go-securesystemslib/encrypted"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// PEM types of a private key encrypted by cosign, newer and older
// (sigstore/cosign, pkg/cosign/keys.go).
const (
	pemSigstore = "ENCRYPTED SIGSTORE PRIVATE KEY"
	pemCosign   = "ENCRYPTED COSIGN PRIVATE KEY"
)

// MaxKey bounds a private key file, in bytes. An encrypted RSA-4096 key, the
// largest kind accepted, is below 5 KiB.
const MaxKey = 64 << 10

// ErrPassword: the private key could not be decrypted with the password given.
var ErrPassword = errors.New("wrong password for the private key")

// KeyPair is a fresh key pair in cosign's own forms: PrivatePEM is an encrypted
// "ENCRYPTED SIGSTORE PRIVATE KEY", PublicPEM a PKIX "PUBLIC KEY" (ECDSA P-256).
type KeyPair struct {
	PrivatePEM, PublicPEM []byte
}

// GenerateKeyPair makes a key pair; an empty password is allowed, as in cosign.
func GenerateKeyPair(password []byte) (KeyPair, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, fmt.Errorf("making a key pair: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return KeyPair{}, fmt.Errorf("encoding the private key: %w", err)
	}
	// scrypt and NaCl secretbox, with the parameters cosign has always used.
	sealed, err := encrypted.Encrypt(der, password)
	if err != nil {
		return KeyPair{}, fmt.Errorf("encrypting the private key: %w", err)
	}
	public, err := cryptoutils.MarshalPublicKeyToPEM(private.Public())
	if err != nil {
		return KeyPair{}, fmt.Errorf("encoding the public key: %w", err)
	}
	return KeyPair{PrivatePEM: pem.EncodeToMemory(&pem.Block{Type: pemSigstore, Bytes: sealed}), PublicPEM: public}, nil
}

// LoadKey decrypts a private key written by cosign (of any version, with the
// newer or the older PEM header) or [GenerateKeyPair]. [ErrPassword] when the
// password is wrong. No error ever holds bytes of the key.
func LoadKey(data, password []byte) (signature.SignerVerifier, error) {
	if len(data) > MaxKey {
		return nil, fmt.Errorf("over the limit of %d bytes for a private key", MaxKey)
	}
	block, _ := pem.Decode(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))) // what editors on Windows begin UTF-8 with
	if block == nil {
		return nil, errors.New("no PEM block: want the private key `bpfimg generate-key-pair` writes")
	}
	if err := checkKeyType(block.Type); err != nil {
		return nil, err
	}
	der, err := encrypted.Decrypt(block.Bytes, password)
	switch {
	case err == nil:
	// The library has no sentinel for this one, the only failure of its cipher.
	case strings.HasSuffix(err.Error(), "decryption failed"):
		return nil, ErrPassword
	default:
		return nil, errDamagedKey
	}
	// What these find wrong may quote what was decrypted: say where, not what.
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errDamagedKey
	}
	// No options: plain Ed25519, the form `cosign verify --key` reads. With
	// Ed25519ph, which cosign signs with by default, that command refuses it.
	signer, err := signature.LoadDefaultSignerVerifier(private)
	if err != nil {
		return nil, errDamagedKey
	}
	return signer, nil
}

var errDamagedKey = errors.New("damaged or of a kind that is not supported: want an encrypted ECDSA, RSA or Ed25519 key")

// checkKeyType refuses every PEM type but cosign's encrypted ones, with what to
// do instead for the likely mistakes.
func checkKeyType(kind string) error {
	switch {
	case kind == pemSigstore || kind == pemCosign:
		return nil
	case kind == "PUBLIC KEY":
		return errors.New("this is a public key: sign with the private one (cosign.key)")
	case strings.HasSuffix(kind, "PRIVATE KEY"):
		return fmt.Errorf("PEM type %q is not cosign's encrypted form: convert it with `cosign import-key-pair`", kind)
	}
	return fmt.Errorf("PEM type %q is not a private key: want the one `bpfimg generate-key-pair` writes", kind)
}
