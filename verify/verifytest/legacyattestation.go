// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verifytest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Envelope is a DSSE envelope as cosign 2 stored those of attestations.
func Envelope(t testing.TB, payloadType, statement string, sig []byte) []byte {
	t.Helper()
	return Must[[]byte](t)(json.Marshal(dsse.Envelope{
		PayloadType: payloadType, Payload: base64.StdEncoding.EncodeToString([]byte(statement)),
		Signatures: []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(sig)}},
	}))
}

// LegacyAttestation signs statement as cosign 2 did, and returns the envelope and
// the annotations beside it.
func (k *Key) LegacyAttestation(t testing.TB, statement string) ([]byte, map[string]string) {
	t.Helper()
	sig := signASN1(t, k.private, dsse.PAE(PayloadType, []byte(statement)))
	return Envelope(t, PayloadType, statement, sig), map[string]string{schemas.AnnotationCosignSignature: ""}
}

// LegacyAttestation is an attestation with a certificate as cosign 2 stored it:
// the envelope and the annotations beside it. Its timestamp is of the envelope.
func (s *Sigstore) LegacyAttestation(t testing.TB, statement string, changes ...func(*Signing)) ([]byte, map[string]string) {
	t.Helper()
	how, key := newSigning(t, changes), newECDSA(t)
	leaf := signCert(t, how.Template, s.between, key.Public(), s.key)
	sig := signASN1(t, key, dsse.PAE(PayloadType, []byte(statement)))
	envelope := Envelope(t, PayloadType, statement, sig)
	annotations := map[string]string{
		schemas.AnnotationCosignSignature:   "",
		schemas.AnnotationCosignCertificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})),
	}
	if !how.Logged.IsZero() {
		annotations[schemas.AnnotationCosignBundle] = keptEntry(t, s.logEntry(t, leaf, statement, sig, how.Logged))
	}
	if how.Stamped {
		annotations[schemas.AnnotationCosignTimestamp] = s.keptStamp(t, envelope)
	}
	return envelope, annotations
}

// keptStamp is what cosign 2 kept of a timestamp.
func (s *Sigstore) keptStamp(t testing.TB, of []byte) string {
	t.Helper()
	stamp := s.Stamp(t, of).GetRfc3161Timestamps()[0].GetSignedTimestamp()
	return string(Must[[]byte](t)(json.Marshal(map[string]any{"SignedRFC3161Timestamp": stamp})))
}
