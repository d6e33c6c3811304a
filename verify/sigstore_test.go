// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
)

// The identity most tests trust.
const (
	testIssuer  = verifytest.Issuer
	testSubject = verifytest.Subject
	testRepo    = verifytest.SourceRepo
	testRef     = verifytest.SourceRef
)

// sigstore is an authority with log and timestamps, and what a node is given of
// it.
type sigstore struct {
	*verifytest.Sigstore
	trusted *TrustedRoot
}

type signing = verifytest.Signing

func must[T any](t testing.TB) func(T, error) T { return verifytest.Must[T](t) }

// newSigstore makes one whose intermediate certificate is valid from start to
// end, counted from now.
func newSigstore(t testing.TB, start, end time.Duration) *sigstore {
	t.Helper()
	s := &sigstore{Sigstore: verifytest.NewSigstore(t, start, end)}
	s.trusted = s.trust(t, verifytest.Trust{})
	return s
}

func newGoodSigstore(t testing.TB) *sigstore { return newSigstore(t, -time.Hour, time.Hour) }

func (s *sigstore) trust(t testing.TB, trust verifytest.Trust) *TrustedRoot {
	t.Helper()
	return must[*TrustedRoot](t)(ParseTrustedRoot(s.TrustedRoot(t, trust), "trusted_root.json"))
}

// keyless is a signature of d by the trusted identity.
func (s *sigstore) keyless(t testing.TB, d string, changes ...func(*signing)) pull.Candidate {
	t.Helper()
	return candidateOf(s.Sign(t, statementOf(d, schemas.PredicateCosignSign), changes...))
}

// keylessLegacy is a signature as cosign 2 stored it.
func (s *sigstore) keylessLegacy(t testing.TB, payload string, changes ...func(*signing)) pull.Candidate {
	t.Helper()
	return pull.Candidate{Kind: pull.KindLegacy, Payload: []byte(payload), Annotations: s.Legacy(t, payload, changes...)}
}

// keylessAttestation is an attestation as cosign 2 stored it.
func (s *sigstore) keylessAttestation(t testing.TB, statement string, changes ...func(*signing)) pull.Candidate {
	t.Helper()
	return legacyStatement(s.LegacyAttestation(t, statement, changes...))
}

// trustIdentity is the rule of `--certificate-identity`.
func (s *sigstore) trustIdentity(t testing.TB) *Signers {
	t.Helper()
	return must[*Signers](t)(NewSigners(nil, []schemas.PolicyIdentity{{Issuer: testIssuer, Subject: testSubject}}, s.trusted))
}

// logKeyBundle adds to a bundle by key an entry of the log, made at that time.
func (s *sigstore) logKeyBundle(t testing.TB, key *testKey, at time.Time) func(*protobundle.Bundle) {
	return func(b *protobundle.Bundle) {
		e := b.GetDsseEnvelope()
		sum := sha256.Sum256(e.GetPayload())
		hash := fmt.Sprintf(`{"algorithm":"sha256","value":"%x"}`, sum)
		body := fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":%s,"payloadHash":%s,"signatures":[{"signature":%q,"verifier":%q}]}}`,
			hash, hash, base64.StdEncoding.EncodeToString(e.GetSignatures()[0].GetSig()), base64.StdEncoding.EncodeToString(key.PEM))
		b.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{s.Entry(t, "dsse", body, at)}
	}
}

// stampBundle adds a timestamp of now.
func (s *sigstore) stampBundle(t testing.TB) func(*protobundle.Bundle) {
	return func(b *protobundle.Bundle) {
		b.VerificationMaterial.TimestampVerificationData = s.Stamp(t, b.GetDsseEnvelope().GetSignatures()[0].GetSig())
	}
}
