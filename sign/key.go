// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/cosign/v2/pkg/cosign"
	"github.com/sigstore/sigstore/pkg/signature"
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
	keys, err := cosign.GenerateKeyPair(func(bool) ([]byte, error) { return password, nil })
	if err != nil {
		return KeyPair{}, fmt.Errorf("making a key pair: %w", err)
	}
	return KeyPair{PrivatePEM: keys.PrivateBytes, PublicPEM: keys.PublicBytes}, nil
}

// LoadKey decrypts a private key written by cosign (of any version, with the
// newer or the older PEM header) or [GenerateKeyPair]. [ErrPassword] when the
// password is wrong. No error ever holds bytes of the key.
func LoadKey(data, password []byte) (signature.SignerVerifier, error) {
	if len(data) > MaxKey {
		return nil, fmt.Errorf("over the limit of %d bytes for a private key", MaxKey)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM block: want the private key `bpfimg generate-key-pair` writes")
	}
	if err := checkKeyType(block.Type); err != nil {
		return nil, err
	}
	// No options: plain Ed25519, the form `cosign verify --key` reads. With the
	// default ones cosign signs with Ed25519ph, which that command then refuses.
	signer, err := cosign.LoadPrivateKey(data, password, &[]signature.LoadOption{})
	switch {
	case err == nil:
		return signer, nil
	// The library has no sentinel for this one, the only failure of its cipher.
	case strings.HasSuffix(err.Error(), "decryption failed"):
		return nil, ErrPassword
	}
	// What the library found wrong may quote what it decrypted: say where, not what.
	return nil, errors.New("damaged or of a kind that is not supported: want an encrypted ECDSA, RSA or Ed25519 key")
}

// checkKeyType refuses every PEM type but cosign's encrypted ones, with what to
// do instead for the likely mistakes.
func checkKeyType(kind string) error {
	switch {
	case kind == cosign.SigstorePrivateKeyPemType || kind == cosign.CosignPrivateKeyPemType:
		return nil
	case kind == "PUBLIC KEY":
		return errors.New("this is a public key: sign with the private one (cosign.key)")
	case strings.HasSuffix(kind, "PRIVATE KEY"):
		return fmt.Errorf("PEM type %q is not cosign's encrypted form: convert it with `cosign import-key-pair`", kind)
	}
	return fmt.Errorf("PEM type %q is not a private key: want the one `bpfimg generate-key-pair` writes", kind)
}
