// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"context"
	"errors"

	"github.com/bpfimg/bpfimg/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature"
)

// ErrPassword: the private key could not be decrypted with the password given.
var ErrPassword = errors.New("wrong password for the private key")

// KeyPair is a fresh key pair in cosign's own forms: PrivatePEM is an encrypted
// "ENCRYPTED SIGSTORE PRIVATE KEY", PublicPEM a PKIX "PUBLIC KEY" (ECDSA P-256).
type KeyPair struct {
	PrivatePEM, PublicPEM []byte
}

// GenerateKeyPair makes a key pair; an empty password is allowed, as in cosign.
func GenerateKeyPair(password []byte) (KeyPair, error) {
	return KeyPair{}, errors.New("not implemented")
}

// LoadKey decrypts a private key written by cosign or [GenerateKeyPair].
// [ErrPassword] when the password is wrong.
func LoadKey(pem, password []byte) (signature.SignerVerifier, error) {
	return nil, errors.New("not implemented")
}

// Repository is where the image is and its signature goes.
type Repository interface {
	image.Source
	image.Sink
}

// Options of [Sign].
type Options struct {
	// Legacy writes what cosign 2 wrote, appended to the tag sha256-<hex>.sig,
	// instead of a bundle.
	Legacy bool
	// Annotations go into the signed content.
	Annotations map[string]string
}

// Result says what was signed and where the signature is.
type Result struct {
	// Subject is the image manifest that was signed, Signature the manifest that
	// holds the signature.
	Subject, Signature ocispec.Descriptor
}

// Sign resolves ref once and signs that digest, never a tag.
func Sign(ctx context.Context, repo Repository, ref image.Reference, signer signature.SignerVerifier, opts Options) (Result, error) {
	return Result{}, errors.New("not implemented")
}
