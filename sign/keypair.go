// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigsign "github.com/sigstore/sigstore-go/pkg/sign"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
)

// EphemeralKey makes the key of one keyless signature: a certificate says whose
// it is, and it is gone with the process.
func EphemeralKey() (signature.SignerVerifier, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key for one signature: %w", err)
	}
	return signature.LoadSignerVerifier(private, crypto.SHA256)
}

// keypair is a job's key as sigstore-go wants it.
type keypair struct{ *job }

var _ sigsign.Keypair = keypair{}

// GetHashAlgorithm implements [sigsign.Keypair].
func (keypair) GetHashAlgorithm() protocommon.HashAlgorithm {
	return protocommon.HashAlgorithm_SHA2_256
}

// GetSigningAlgorithm implements [sigsign.Keypair].
func (k keypair) GetSigningAlgorithm() protocommon.PublicKeyDetails {
	details, err := signature.GetDefaultAlgorithmDetails(k.public)
	if err != nil {
		return protocommon.PublicKeyDetails_PUBLIC_KEY_DETAILS_UNSPECIFIED
	}
	return details.GetSignatureAlgorithm()
}

// GetHint implements [sigsign.Keypair]: how cosign names a key in a bundle,
// base64 of the SHA-256 of the public key in PKIX DER form (sigstore/cosign,
// internal/key).
func (k keypair) GetHint() []byte {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return nil // it names the key for people; verifiers do not depend on it
	}
	sum := sha256.Sum256(der)
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

// GetKeyAlgorithm implements [sigsign.Keypair], in Fulcio's spelling.
func (k keypair) GetKeyAlgorithm() string {
	switch k.public.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA"
	case *rsa.PublicKey:
		return "RSA"
	case ed25519.PublicKey:
		return "ED25519"
	}
	return ""
}

// GetPublicKey implements [sigsign.Keypair].
func (k keypair) GetPublicKey() crypto.PublicKey { return k.public }

// GetPublicKeyPem implements [sigsign.Keypair].
func (k keypair) GetPublicKeyPem() (string, error) {
	pem, err := cryptoutils.MarshalPublicKeyToPEM(k.public)
	return string(pem), err
}

// SignData implements [sigsign.Keypair].
func (k keypair) SignData(ctx context.Context, data []byte) (sig, signed []byte, err error) {
	if sig, err = k.sign(ctx, data); err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(data)
	return sig, sum[:], nil
}

// trusted is what a new bundle is verified against: the trusted root, and the key
// itself unless a certificate stands for it; nil without a trusted root.
func (j *job) trusted() (root.TrustedMaterial, error) {
	s := j.opts.Services
	if s.TrustedRoot == nil {
		return nil, nil
	}
	if s.Keyless() {
		return s.TrustedRoot, nil
	}
	verifier, err := signature.LoadVerifier(j.public, crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("reading the public key of the private key: %w", err)
	}
	key := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(verifier, time.Time{}, time.Time{}), nil
	})
	return root.TrustedMaterialCollection{s.TrustedRoot, key}, nil
}
