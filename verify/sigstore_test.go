// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/testing/ca"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	"google.golang.org/protobuf/encoding/protojson"
)

// The identity most tests trust.
const (
	testIssuer  = "https://issuer.example"
	testSubject = "https://git.example/acme/x/.github/workflows/build.yml@refs/heads/main"
	testRepo    = "https://git.example/acme/x"
	testRef     = "refs/heads/main"
)

// sigstore is a certificate authority of our own, whose certificates can be
// wrong in any way, with a virtual log and timestamp authority.
type sigstore struct {
	virtual *ca.VirtualSigstore
	root    *x509.Certificate
	between *x509.Certificate // the intermediate
	key     *ecdsa.PrivateKey // of the intermediate
	// trusted is what a node is given of all that.
	trusted *TrustedRoot
}

func must[T any](t testing.TB) func(T, error) T {
	t.Helper()
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newECDSA(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	return must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
}

// newSigstore makes one whose intermediate certificate is valid from start to
// end, counted from now.
func newSigstore(t testing.TB, start, end time.Duration) *sigstore {
	t.Helper()
	s := &sigstore{virtual: must[*ca.VirtualSigstore](t)(ca.NewVirtualSigstore()), key: newECDSA(t)}
	rootCert, rootKey, err := ca.GenerateRootCa()
	if err != nil {
		t.Fatal(err)
	}
	s.root = rootCert
	s.between = signCert(t, &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "between"},
		NotBefore: time.Now().Add(start), NotAfter: time.Now().Add(end),
		KeyUsage: x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		BasicConstraintsValid: true, IsCA: true,
	}, rootCert, s.key.Public(), rootKey)
	s.trusted = s.trust(t, true, true)
	return s
}

func newGoodSigstore(t testing.TB) *sigstore { return newSigstore(t, -time.Hour, time.Hour) }

// trust is the trusted root file, with or without log and timestamp authority.
func (s *sigstore) trust(t testing.TB, logs, stamps bool) *TrustedRoot {
	t.Helper()
	return s.trustWith(t, logs, stamps, nil)
}

// realIDs repairs the ids of virtual logs, which are text there.
func realIDs(t testing.TB, logs map[string]*root.TransparencyLog) map[string]*root.TransparencyLog {
	t.Helper()
	for id, log := range logs {
		log.ID = must[[]byte](t)(hex.DecodeString(id))
	}
	return logs
}

// trustWith adds certificate transparency logs.
func (s *sigstore) trustWith(t testing.TB, logs, stamps bool, ctLogs map[string]*root.TransparencyLog) *TrustedRoot {
	t.Helper()
	var rekor map[string]*root.TransparencyLog
	if logs {
		rekor = realIDs(t, s.virtual.RekorLogs())
	}
	var authorities []root.TimestampingAuthority
	if stamps {
		authorities = s.virtual.TimestampingAuthorities()
	}
	authority := &root.FulcioCertificateAuthority{Root: s.root, Intermediates: []*x509.Certificate{s.between}, URI: "https://ca.example"}
	material := must[*root.TrustedRoot](t)(root.NewTrustedRoot(root.TrustedRootMediaType01, []root.CertificateAuthority{authority}, ctLogs, authorities, rekor))
	data := must[[]byte](t)(material.MarshalJSON())
	return must[*TrustedRoot](t)(ParseTrustedRoot(data, "trusted_root.json"))
}

func signCert(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, by crypto.Signer) *x509.Certificate {
	t.Helper()
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, parent, public, by))
	return must[*x509.Certificate](t)(x509.ParseCertificate(der))
}

// extension of a Fulcio certificate (sigstore/fulcio, docs/oid-info.md).
func extension(t testing.TB, number int, value string) pkix.Extension {
	t.Helper()
	der := must[[]byte](t)(asn1.MarshalWithParams(value, "utf8"))
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, number}, Value: der}
}

// signing is one signature with a certificate, to be changed before it is made.
type signing struct {
	template *x509.Certificate
	logged   time.Time // zero: not in the log
	stamped  bool
	change   func(*protobundle.Bundle)
}

// certificate of subject, valid for the ten minutes around now.
func certificateOf(t testing.TB, subject, issuer string) *x509.Certificate {
	t.Helper()
	return &x509.Certificate{
		SerialNumber: big.NewInt(3), NotBefore: time.Now().Add(-5 * time.Minute), NotAfter: time.Now().Add(5 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning},
		URIs: []*url.URL{must[*url.URL](t)(url.Parse(subject))},
		ExtraExtensions: []pkix.Extension{
			extension(t, 8, issuer), extension(t, 12, testRepo), extension(t, 14, testRef), extension(t, 18, subject),
		},
	}
}

// sign makes a bundle of statement, good unless change says otherwise.
func (s *sigstore) sign(t testing.TB, statement string, changes ...func(*signing)) []byte {
	t.Helper()
	how := signing{template: certificateOf(t, testSubject, testIssuer), logged: time.Now(), stamped: true, change: func(*protobundle.Bundle) {}}
	for _, change := range changes {
		change(&how)
	}
	key := newECDSA(t)
	leaf := signCert(t, how.template, s.between, key.Public(), s.key)
	sig := signASN1(t, key, dsse.PAE(inToto, []byte(statement)))
	b := &protobundle.Bundle{
		MediaType: schemas.MediaTypeBundle,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_Certificate{Certificate: &protocommon.X509Certificate{RawBytes: leaf.Raw}},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload: []byte(statement), PayloadType: inToto, Signatures: []*protodsse.Signature{{Sig: sig}},
		}},
	}
	if !how.logged.IsZero() {
		b.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{s.logEntry(t, leaf, statement, sig, how.logged)}
	}
	if how.stamped {
		b.VerificationMaterial.TimestampVerificationData = s.stamp(t, sig)
	}
	how.change(b)
	var compact bytes.Buffer
	if err := json.Compact(&compact, must[[]byte](t)(protojson.Marshal(b))); err != nil {
		t.Fatal(err)
	}
	return compact.Bytes()
}

func signASN1(t testing.TB, key *ecdsa.PrivateKey, message []byte) []byte {
	t.Helper()
	h := crypto.SHA256.New()
	h.Write(message)
	return must[[]byte](t)(ecdsa.SignASN1(rand.Reader, key, h.Sum(nil)))
}

// stamp is an RFC 3161 timestamp of now.
func (s *sigstore) stamp(t testing.TB, sig []byte) *protobundle.TimestampVerificationData {
	t.Helper()
	return &protobundle.TimestampVerificationData{Rfc3161Timestamps: []*protocommon.RFC3161SignedTimestamp{
		{SignedTimestamp: must[[]byte](t)(s.virtual.TimestampResponse(sig))},
	}}
}

// logEntry is the entry of a signature in the log, with promise and proof.
func (s *sigstore) logEntry(t testing.TB, leaf *x509.Certificate, statement string, sig []byte, at time.Time) *protorekor.TransparencyLogEntry {
	t.Helper()
	envelope := &dsse.Envelope{
		PayloadType: inToto, Payload: base64.StdEncoding.EncodeToString([]byte(statement)),
		Signatures: []dsse.Signature{{Sig: base64.StdEncoding.EncodeToString(sig)}},
	}
	entry := must[*tlog.Entry](t)(s.virtual.GenerateTlogEntry(leaf, envelope, sig, at.Unix(), true)).TransparencyLogEntry()
	entry.KindVersion = &protorekor.KindVersion{Kind: "dsse", Version: "0.0.1"} // left out there
	s.promise(t, entry)
	return entry
}

// promise signs the entry anew, as it is.
func (s *sigstore) promise(t testing.TB, entry *protorekor.TransparencyLogEntry) {
	t.Helper()
	entry.InclusionPromise = &protorekor.InclusionPromise{SignedEntryTimestamp: must[[]byte](t)(s.virtual.RekorSignPayload(tlog.RekorPayload{
		Body: base64.StdEncoding.EncodeToString(entry.GetCanonicalizedBody()), IntegratedTime: entry.GetIntegratedTime(),
		LogIndex: entry.GetLogIndex(), LogID: hex.EncodeToString(entry.GetLogId().GetKeyId()),
	}))}
}

// keyless is a signature of d by the trusted identity.
func (s *sigstore) keyless(t testing.TB, d string, changes ...func(*signing)) pull.Candidate {
	t.Helper()
	return candidateOf(s.sign(t, statementOf(d, schemas.PredicateCosignSign), changes...))
}

// trustIdentity is the rule of `--certificate-identity`.
func (s *sigstore) trustIdentity(t testing.TB) *Signers {
	t.Helper()
	return must[*Signers](t)(NewSigners(nil, []schemas.PolicyIdentity{{Issuer: testIssuer, Subject: testSubject}}, s.trusted))
}

// entryOf makes a log entry, with promise and proof, of a body of our own.
func (s *sigstore) entryOf(t testing.TB, kind, body string, at time.Time) *protorekor.TransparencyLogEntry {
	t.Helper()
	id := must[[]byte](t)(hex.DecodeString(must[string](t)(s.virtual.RekorLogID())))
	proof, err := s.virtual.GetInclusionProof([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	entry := &protorekor.TransparencyLogEntry{
		LogId: &protocommon.LogId{KeyId: id}, KindVersion: &protorekor.KindVersion{Kind: kind, Version: "0.0.1"},
		IntegratedTime: at.Unix(), CanonicalizedBody: []byte(body),
		InclusionProof: &protorekor.InclusionProof{
			TreeSize: 1, RootHash: must[[]byte](t)(hex.DecodeString(*proof.RootHash)),
			Checkpoint: &protorekor.Checkpoint{Envelope: *proof.Checkpoint},
		},
	}
	s.promise(t, entry)
	return entry
}

// logKeyBundle adds to a bundle by key an entry of the log, made at that time.
func (s *sigstore) logKeyBundle(t testing.TB, key *testKey, at time.Time) func(*protobundle.Bundle) {
	return func(b *protobundle.Bundle) {
		e := b.GetDsseEnvelope()
		sum := sha256.Sum256(e.GetPayload())
		hash := fmt.Sprintf(`{"algorithm":"sha256","value":"%x"}`, sum)
		body := fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"dsse","spec":{"envelopeHash":%s,"payloadHash":%s,"signatures":[{"signature":%q,"verifier":%q}]}}`,
			hash, hash, base64.StdEncoding.EncodeToString(e.GetSignatures()[0].GetSig()), base64.StdEncoding.EncodeToString(key.PEM))
		b.VerificationMaterial.TlogEntries = []*protorekor.TransparencyLogEntry{s.entryOf(t, "dsse", body, at)}
	}
}

// stampBundle adds a timestamp of now.
func (s *sigstore) stampBundle(t testing.TB) func(*protobundle.Bundle) {
	return func(b *protobundle.Bundle) {
		b.VerificationMaterial.TimestampVerificationData = s.stamp(t, b.GetDsseEnvelope().GetSignatures()[0].GetSig())
	}
}

// keylessLegacy is a signature as cosign 2 stored it: payload, and the rest in
// annotations.
func (s *sigstore) keylessLegacy(t testing.TB, payload string, changes ...func(*signing)) pull.Candidate {
	t.Helper()
	how := signing{template: certificateOf(t, testSubject, testIssuer), logged: time.Now(), stamped: true}
	for _, change := range changes {
		change(&how)
	}
	key := newECDSA(t)
	leaf := signCert(t, how.template, s.between, key.Public(), s.key)
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})
	sig := signASN1(t, key, []byte(payload))
	annotations := map[string]string{
		schemas.AnnotationCosignSignature:   base64.StdEncoding.EncodeToString(sig),
		schemas.AnnotationCosignCertificate: string(certPEM),
	}
	if !how.logged.IsZero() {
		body := fmt.Sprintf(`{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"%x"}},"signature":{"content":%q,"publicKey":{"content":%q}}}}`,
			sha256.Sum256([]byte(payload)), base64.StdEncoding.EncodeToString(sig), base64.StdEncoding.EncodeToString(certPEM))
		entry := s.entryOf(t, "hashedrekord", body, how.logged)
		annotations[schemas.AnnotationCosignBundle] = string(must[[]byte](t)(json.Marshal(map[string]any{
			"SignedEntryTimestamp": entry.GetInclusionPromise().GetSignedEntryTimestamp(),
			"Payload": map[string]any{
				"body": []byte(body), "integratedTime": entry.GetIntegratedTime(), "logIndex": entry.GetLogIndex(),
				"logID": hex.EncodeToString(entry.GetLogId().GetKeyId()),
			},
		})))
	}
	if how.stamped {
		stamp := s.stamp(t, sig).GetRfc3161Timestamps()[0].GetSignedTimestamp()
		annotations[schemas.AnnotationCosignTimestamp] = string(must[[]byte](t)(json.Marshal(map[string]any{"SignedRFC3161Timestamp": stamp})))
	}
	return pull.Candidate{Kind: pull.KindLegacy, Payload: []byte(payload), Annotations: annotations}
}
