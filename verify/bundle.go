// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// maxBundle bounds a bundle that can be a signature, in bytes. One by a key is
// below 1 KiB, with certificates and log entries below 20 KiB; what is larger is
// an attestation, and parsing it would only cost time.
const maxBundle = 256 << 10

// maxSubjects bounds the subjects of a statement; cosign writes one.
const maxSubjects = 64

// statementType is the only version of in-toto statements that cosign signs
// images with (in-toto/attestation, spec/v1/statement.md).
const statementType = "https://in-toto.io/Statement/v1"

// mediaTypeBundleOld is how early writers spelled [schemas.MediaTypeBundle]
// (sigstore/protobuf-specs, sigstore_bundle.proto, media_type).
const mediaTypeBundleOld = "application/vnd.dev.sigstore.bundle+json;version=0.3"

// checkBundle returns the trusted key that signed data, a Sigstore bundle whose
// statement is an image signature of one of the targets.
func (c *checker) checkBundle(data []byte) (Key, error) {
	b, err := parseBundle(data)
	if err != nil {
		return Key{}, err
	}
	signed, err := c.claimOf(b)
	if err != nil {
		return Key{}, err
	}
	for _, v := range c.keys {
		for _, form := range v.forms {
			statement, err := verifyBundle(b, form, signed)
			if err != nil {
				continue
			}
			// The claims once more, now from what the signature covers.
			if again, err := c.claim(statement); err != nil || again != signed {
				return Key{}, errors.New("has two readings of one statement")
			}
			return v.key, nil
		}
	}
	return Key{}, errOtherKey
}

// parseBundle accepts a v0.3 bundle that holds a DSSE envelope made with a key.
func parseBundle(data []byte) (*bundle.Bundle, error) {
	if len(data) > maxBundle {
		return nil, fmt.Errorf("is over the limit of %d bytes for a signature: an attestation, perhaps", maxBundle)
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(data); err != nil {
		return nil, fmt.Errorf("is not a Sigstore bundle: %w", err)
	}
	if b.MediaType != schemas.MediaTypeBundle && b.MediaType != mediaTypeBundleOld {
		return nil, fmt.Errorf("has the bundle version %q: want %q", clip(b.MediaType), schemas.MediaTypeBundle)
	}
	if _, ok := b.VerificationMaterial.GetContent().(*protobundle.VerificationMaterial_PublicKey); !ok {
		return nil, errors.New("is signed with a certificate: only keys are trusted here")
	}
	if b.GetDsseEnvelope() == nil {
		return nil, errors.New("is a bare signature of a blob, not a signed statement about an image")
	}
	if n := len(b.GetDsseEnvelope().GetSignatures()); n != 1 {
		return nil, fmt.Errorf("has %d signatures in its envelope: want exactly one", n)
	}
	return &b, nil
}

// statement is the part of an in-toto statement that decides.
type statement struct {
	kind, predicate string
	subjects        []map[string]string // digests by algorithm
}

// claimOf reads, before any signature was checked, what b claims to sign. A
// claim that would not do is refused here with a reason a person can act on.
func (c *checker) claimOf(b *bundle.Bundle) (digest.Digest, error) {
	envelope, err := b.Envelope()
	if err != nil {
		return "", fmt.Errorf("has no readable envelope: %w", err)
	}
	s, err := envelope.Statement()
	if err != nil {
		return "", fmt.Errorf("has no in-toto statement in its envelope: %w", err)
	}
	subjects := make([]map[string]string, 0, len(s.GetSubject()))
	for _, sub := range s.GetSubject() {
		subjects = append(subjects, sub.GetDigest())
	}
	return c.claim(statement{kind: s.GetType(), predicate: s.GetPredicateType(), subjects: subjects})
}

// claim returns the target that s is a signature of.
func (c *checker) claim(s statement) (digest.Digest, error) {
	switch {
	case s.predicate != schemas.PredicateCosignSign:
		return "", fmt.Errorf("is an attestation (%q), not a signature", clip(s.predicate))
	case s.kind != statementType:
		return "", fmt.Errorf("has the statement type %q: want %q", clip(s.kind), statementType)
	case len(s.subjects) > maxSubjects:
		return "", fmt.Errorf("has %d subjects, over the limit of %d", len(s.subjects), maxSubjects)
	}
	var signed []string
	for _, digests := range s.subjects {
		if encoded, ok := digests[digest.SHA256.String()]; ok {
			signed = append(signed, clip(digest.NewDigestFromEncoded(digest.SHA256, encoded).String()))
		}
	}
	return c.target(signed...)
}

// verifyBundle checks the signature of b by key and that it covers signed.
func verifyBundle(b *bundle.Bundle, key signature.Verifier, signed digest.Digest) (statement, error) {
	material := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		// The hint in the bundle is the signer's word; every trusted key is tried.
		return root.NewExpiringKey(key, time.Time{}, time.Time{}), nil
	})
	// A key has no validity period here, so there is no time to prove.
	v, err := sigverify.NewVerifier(material, sigverify.WithNoObserverTimestamps(), sigverify.WithoutStatementPredicate())
	if err != nil {
		return statement{}, err
	}
	raw, err := hex.DecodeString(signed.Encoded())
	if err != nil {
		return statement{}, err
	}
	result, err := v.Verify(b, sigverify.NewPolicy(
		sigverify.WithArtifactDigest(signed.Algorithm().String(), raw), sigverify.WithKey()))
	if err != nil {
		return statement{}, err
	}
	s := statement{kind: result.Statement.GetType(), predicate: result.Statement.GetPredicateType()}
	for _, sub := range result.Statement.GetSubject() {
		s.subjects = append(s.subjects, sub.GetDigest())
	}
	return s, nil
}
