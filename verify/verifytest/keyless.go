// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verifytest

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/tlog"
)

// Signing is one signature with a certificate, to be changed before it is made.
type Signing struct {
	// Template is the certificate.
	Template *x509.Certificate
	// Logged is when it was entered in the log; zero for not at all.
	Logged time.Time
	// Stamped says that it has a timestamp, of now.
	Stamped bool
	// Change rewrites the bundle after everything in it was made.
	Change func(*protobundle.Bundle)
}

func newSigning(t testing.TB, changes []func(*Signing)) Signing {
	t.Helper()
	how := Signing{Template: Certificate(t, Subject, Issuer), Logged: time.Now(), Stamped: true, Change: func(*protobundle.Bundle) {}}
	for _, change := range changes {
		change(&how)
	}
	return how
}

// Sign makes a bundle of statement, good unless changes say otherwise.
func (s *Sigstore) Sign(t testing.TB, statement string, changes ...func(*Signing)) []byte {
	t.Helper()
	how, key := newSigning(t, changes), newECDSA(t)
	leaf := signCert(t, how.Template, s.between, key.Public(), s.key)
	sig := signASN1(t, key, dsse.PAE(PayloadType, []byte(statement)))
	b := newBundle(statement, PayloadType, sig)
	b.VerificationMaterial = &protobundle.VerificationMaterial{
		Content: &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: leaf.Raw}},
	}
	if !how.Logged.IsZero() {
		b.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{s.logEntry(t, leaf, statement, sig, how.Logged)}
	}
	if how.Stamped {
		b.VerificationMaterial.TimestampVerificationData = s.Stamp(t, sig)
	}
	how.Change(b)
	return encode(t, b)
}

// Stamp is an RFC 3161 timestamp of now.
func (s *Sigstore) Stamp(t testing.TB, sig []byte) *protobundle.TimestampVerificationData {
	t.Helper()
	return &protobundle.TimestampVerificationData{Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{
		{SignedTimestamp: Must[[]byte](t)(s.virtual.TimestampResponse(sig))},
	}}
}

// logEntry is the entry of a signature in the log, with promise and proof.
func (s *Sigstore) logEntry(t testing.TB, leaf *x509.Certificate, statement string, sig []byte, at time.Time) *protorekor.TransparencyLogEntry {
	t.Helper()
	envelope := &dsse.Envelope{
		PayloadType: PayloadType, Payload: base64.StdEncoding.EncodeToString([]byte(statement)),
		Signatures: []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(sig)}},
	}
	entry := Must[*tlog.Entry](t)(s.virtual.GenerateTlogEntry(leaf, envelope, sig, at.Unix(), true)).TransparencyLogEntry()
	entry.KindVersion = &protorekor.KindVersion{Kind: "dsse", Version: "0.0.1"} // left out there
	s.Promise(t, entry)
	return entry
}

// Promise has the log sign entry anew, as it is.
func (s *Sigstore) Promise(t testing.TB, entry *protorekor.TransparencyLogEntry) {
	t.Helper()
	entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: Must[[]byte](t)(s.virtual.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()), IntegratedTime: entry.GetIntegratedTime(),
		LogIndex: entry.GetLogIndex(), LogID: hex.EncodeToString(entry.GetLogId().GetKeyId()),
	}))}
}

// Entry makes a log entry, with promise and proof, of a body of the caller's.
func (s *Sigstore) Entry(t testing.TB, kind, body string, at time.Time) *protorekor.TransparencyLogEntry {
	t.Helper()
	id := Must[[]byte](t)(hex.DecodeString(Must[string](t)(s.virtual.RekorLogID())))
	proof, err := s.virtual.GetInclusionProof([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	entry := &protorekor.TransparencyLogEntry{
		LogId: &protocommon.LogId{KeyId: id}, KindVersion: &protorekor.KindVersion{Kind: kind, Version: "0.0.1"},
		IntegratedTime: at.Unix(), CanonicalizedBody: []byte(body),
		InclusionProof: &protorekor.InclusionProof{
			TreeSize: 1, RootHash: Must[[]byte](t)(hex.DecodeString(*proof.RootHash)),
			Checkpoint: &protorekor.Checkpoint{Envelope: *proof.Checkpoint},
		},
	}
	s.Promise(t, entry)
	return entry
}

// Legacy is a signature of payload as cosign 2 stored it: the annotations that
// stand beside it.
func (s *Sigstore) Legacy(t testing.TB, payload string, changes ...func(*Signing)) map[string]string {
	t.Helper()
	how, key := newSigning(t, changes), newECDSA(t)
	leaf := signCert(t, how.Template, s.between, key.Public(), s.key)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})
	sig := signASN1(t, key, []byte(payload))
	annotations := map[string]string{
		schemas.AnnotationCosignSignature:   base64.StdEncoding.EncodeToString(sig),
		schemas.AnnotationCosignCertificate: string(certPEM),
	}
	if !how.Logged.IsZero() {
		body := fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"%x"}},"signature":{"content":%q,"publicKey":{"content":%q}}}}`,
			sha256.Sum256([]byte(payload)), base64.StdEncoding.EncodeToString(sig), base64.StdEncoding.EncodeToString(certPEM))
		annotations[schemas.AnnotationCosignBundle] = keptEntry(t, s.Entry(t, "hashedrekord", body, how.Logged))
	}
	if how.Stamped {
		annotations[schemas.AnnotationCosignTimestamp] = s.keptStamp(t, sig)
	}
	return annotations
}

// keptEntry is what cosign 2 kept of a log entry.
func keptEntry(t testing.TB, entry *protorekor.TransparencyLogEntry) string {
	t.Helper()
	return string(Must[[]byte](t)(json.Marshal(map[string]any{
		"SignedEntryTimestamp": entry.GetInclusionPromise().GetSignedEntryTimestamp(),
		"Payload": map[string]any{
			"body": entry.GetCanonicalizedBody(), "integratedTime": entry.GetIntegratedTime(), "logIndex": entry.GetLogIndex(),
			"logID": hex.EncodeToString(entry.GetLogId().GetKeyId()),
		},
	})))
}
