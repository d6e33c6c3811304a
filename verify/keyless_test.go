// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"crypto/x509"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

func TestKeyless(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	for name, candidate := range map[string]pull.Candidate{
		"bundle": s.keyless(t, digestOf(newImage(t))),
		"legacy": s.keylessLegacy(t, payloadOf(digestOf(newImage(t)))),
	} {
		t.Run(name, func(t *testing.T) {
			img := newImage(t)
			img.Candidates = []pull.Candidate{candidate}
			v, err := Check(t.Context(), img, s.trustIdentity(t))
			if err != nil {
				t.Fatal(err)
			}
			signer := v.Signers()[0]
			if signer.Kind != schemas.SignerIdentity || signer.Subject != testSubject || signer.Issuer != testIssuer ||
				signer.SourceRepository != testRepo || signer.SourceRef != testRef || signer.Workflow != testSubject {
				t.Errorf("signer %+v", signer)
			}
			if at := signer.SignedAt; at == nil || time.Since(*at).Abs() > time.Minute || !signer.Logged {
				t.Errorf("signed at %v, logged %t", at, signer.Logged)
			}
			if r := NewReport(img, v, nil); r.Attempts[0].Identity != testSubject || r.Attempts[0].SignedAt == nil {
				t.Errorf("report %+v", r)
			}
		})
	}
}

// edit changes the bundle after everything in it was made.
func edit(f func(m *protobundle.VerificationMaterial)) func(*signing) {
	return func(how *signing) { how.Change = func(b *protobundle.Bundle) { f(b.VerificationMaterial) } }
}

// editEntry changes its log entry, and has the log sign it again if told so.
func (s *sigstore) editEntry(t *testing.T, again bool, f func(*protorekor.TransparencyLogEntry)) func(*signing) {
	return edit(func(m *protobundle.VerificationMaterial) {
		f(m.TlogEntries[0])
		if again {
			s.Promise(t, m.TlogEntries[0])
		}
	})
}

func unlogged(how *signing)  { how.Logged = time.Time{} }
func unstamped(how *signing) { how.Stamped = false }

// validFrom makes the certificate valid for that long from a moment counted
// from now.
func validFrom(start, length time.Duration) func(*signing) {
	return func(how *signing) {
		how.Template.NotBefore = time.Now().Add(start)
		how.Template.NotAfter = time.Now().Add(start + length)
	}
}

func loggedAt(ago time.Duration) func(*signing) {
	return func(how *signing) { how.Logged = time.Now().Add(-ago) }
}

func changes(all ...func(*signing)) []func(*signing) { return all }

// TestKeylessAttacks: signatures with certificates of an authority that is
// trusted, each wrong in one way; and what is right.
func TestKeylessAttacks(t *testing.T) {
	t.Parallel()
	s, other := newGoodSigstore(t), newGoodSigstore(t)
	expired := newSigstore(t, -50*time.Minute, -40*time.Minute)
	strange := func(*testing.T) []byte { // a signature of another image, to take parts of
		return s.Sign(t, statementOf(someOther, schemas.PredicateCosignSign))
	}
	optional := func(r *Rule) { r.logIDs = false }
	tests := []struct {
		name    string
		by      *sigstore
		changes []func(*signing)
		rule    func(*Rule) // nil: log required
		want    string
	}{
		{"good", s, nil, nil, ""},
		{"log only", s, changes(unstamped), nil, ""},
		{"timestamp only", s, changes(unlogged), optional, ""},
		{"expired now, valid when it was logged", s, changes(validFrom(-30*time.Minute, 10*time.Minute), loggedAt(25*time.Minute), unstamped), nil, ""},
		{"other authority", other, nil, nil, "its proofs do not hold"},
		{"expired certificate", s, changes(validFrom(-30*time.Minute, 10*time.Minute)), nil, "its proofs do not hold"},
		{"expired certificate, no log", s, changes(validFrom(-30*time.Minute, 10*time.Minute), unlogged), optional, "leaf certificate"},
		{"certificate not valid yet", s, changes(validFrom(30*time.Minute, 10*time.Minute)), nil, "its proofs do not hold"},
		{"not valid yet, no log", s, changes(validFrom(30*time.Minute, 10*time.Minute), unlogged), optional, "leaf certificate"},
		{"logged while valid, stamped after", s, changes(validFrom(-30*time.Minute, 10*time.Minute), loggedAt(25*time.Minute)), nil, "leaf certificate"},
		{"expired intermediate", expired, nil, nil, "leaf certificate"},
		{"expired intermediate, no log", expired, changes(unlogged), optional, "leaf certificate"},
		{"intermediate expired since", expired, changes(validFrom(-50*time.Minute, 20*time.Minute), loggedAt(45*time.Minute), unstamped), nil, ""},
		{"certificate for another purpose", s, changes(func(how *signing) {
			how.Template.ExtKeyUsage = nil
			how.Template.ExtKeyUsage = append(how.Template.ExtKeyUsage, 1)
		}), nil, "leaf certificate"},
		{"wrong issuer", s, changes(func(how *signing) { how.Template = verifytest.Certificate(t, testSubject, testIssuer+".evil") }), nil, "another identity: issuer is"},
		{"wrong subject", s, changes(func(how *signing) { how.Template = verifytest.Certificate(t, testSubject+"x", testIssuer) }), nil, "another identity: subject is"},
		{"no issuer", s, changes(func(how *signing) { how.Template.ExtraExtensions = nil }), nil, "another identity: issuer is"},
		{"wrong ref", s, nil, func(r *Rule) { r.signers.identities[0].spec.SourceRef = "refs/heads/other" }, "another identity: source ref is"},
		{"wrong repository", s, nil, func(r *Rule) { r.signers.identities[0].spec.SourceRepository = testRepo + "2" }, "another identity: source repository is"},
		{"wrong workflow", s, nil, func(r *Rule) { r.signers.identities[0].spec.Workflow = "w" }, "another identity: workflow is"},
		{"no log entry", s, changes(unlogged), nil, "no entry of a transparency log"},
		{"no log entry and no timestamp", s, changes(unlogged, unstamped), optional, "nothing proves when it was signed"},
		{"log entry of another artifact", s, changes(edit(func(m *protobundle.VerificationMaterial) {
			m.TlogEntries = materialOf(t, strange(t)).TlogEntries
		})), nil, "its proofs do not hold"},
		{"timestamp of another signature", s, changes(unlogged, edit(func(m *protobundle.VerificationMaterial) {
			m.TimestampVerificationData = materialOf(t, strange(t)).TimestampVerificationData
		})), optional, "its proofs do not hold"},
		{"timestamp by a stranger", s, changes(unlogged, edit(func(m *protobundle.VerificationMaterial) {
			m.TimestampVerificationData = other.Stamp(t, []byte("x"))
		})), optional, "its proofs do not hold"},
		{"certificate of another signature", s, changes(edit(func(m *protobundle.VerificationMaterial) {
			m.Content = materialOf(t, strange(t)).Content
		})), nil, "its proofs do not hold"},
		{"log nobody knows", s, changes(edit(func(m *protobundle.VerificationMaterial) {
			m.TlogEntries[0].LogId = &protocommon.LogId{KeyId: make([]byte, 32)}
		})), nil, "not enough verified log entries"},
		{"promise by another log", s, changes(edit(func(m *protobundle.VerificationMaterial) {
			other.Promise(t, m.TlogEntries[0])
		})), nil, "not enough verified log entries"},
		{"promise of another time", s, changes(s.editEntry(t, false, func(e *protorekor.TransparencyLogEntry) { e.IntegratedTime-- })), nil, "not enough verified log entries"},
		{"no promise and no timestamp", s, changes(unstamped, s.editEntry(t, false, func(e *protorekor.TransparencyLogEntry) { e.InclusionPromise = nil })), nil, "threshold not met"},
		{"no inclusion proof", s, changes(s.editEntry(t, false, func(e *protorekor.TransparencyLogEntry) { e.InclusionProof = nil })), nil, "inclusion proof missing"},
		{"inclusion proof of another tree", s, changes(s.editEntry(t, false, func(e *protorekor.TransparencyLogEntry) { e.InclusionProof.RootHash[0] ^= 1 })), nil, "its proofs do not hold"},
		{"checkpoint by another log", s, changes(s.editEntry(t, false, func(e *protorekor.TransparencyLogEntry) {
			e.InclusionProof.Checkpoint = other.Entry(t, "dsse", string(e.CanonicalizedBody), time.Now()).InclusionProof.Checkpoint
		})), nil, "its proofs do not hold"},
		{"entry rewritten and signed again", s, changes(s.editEntry(t, true, func(e *protorekor.TransparencyLogEntry) {
			e.CanonicalizedBody = []byte(strings.Replace(string(e.CanonicalizedBody), "0.0.1", "0.0.2", 1))
		})), nil, "is not a Sigstore bundle"},
		{"entry twice", s, changes(edit(func(m *protobundle.VerificationMaterial) {
			m.TlogEntries = append(m.TlogEntries, m.TlogEntries[0])
		})), nil, "duplicate tlog entries"},
		{"logged before the certificate", s, changes(loggedAt(10 * time.Minute)), nil, "its proofs do not hold"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			img := newImage(t)
			img.Candidates = []pull.Candidate{tt.by.keyless(t, digestOf(img), tt.changes...)}
			trust := s.trustIdentity(t)
			if tt.by == expired {
				trust = expired.trustIdentity(t)
			}
			if tt.rule != nil {
				tt.rule(&trust.rule)
			}
			v, err := Check(t.Context(), img, trust)
			checkOutcome(t, img, v, err, tt.want)
		})
	}
}

func materialOf(t *testing.T, bundle []byte) *protobundle.VerificationMaterial {
	t.Helper()
	var b protobundle.Bundle
	if err := protojson.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	return b.GetVerificationMaterial()
}

// TestKeylessLegacyAttacks: the same of what cosign 2 stored.
func TestKeylessLegacyAttacks(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	strange := s.keylessLegacy(t, payloadOf(someOther))
	take := func(name string) func(pull.Candidate) {
		return func(c pull.Candidate) { c.Annotations[name] = strange.Annotations[name] }
	}
	set := func(name, value string) func(pull.Candidate) {
		return func(c pull.Candidate) { c.Annotations[name] = value }
	}
	for _, tt := range []struct {
		name    string
		changes []func(*signing)
		spoil   func(pull.Candidate)
		want    string
	}{
		{"log only", changes(unstamped), nil, ""},
		{"expired now, valid when it was logged", changes(validFrom(-30*time.Minute, 10*time.Minute), loggedAt(25*time.Minute), unstamped), nil, ""},
		{"no log entry", changes(unlogged), nil, "no entry of a transparency log"},
		{"expired", changes(validFrom(-30*time.Minute, 10*time.Minute)), nil, "its proofs do not hold"},
		{"other subject", changes(func(how *signing) { how.Template = verifytest.Certificate(t, "https://git.example/evil", testIssuer) }), nil, "another identity"},
		{"log entry of another", nil, take(schemas.AnnotationCosignBundle), "its proofs do not hold"},
		{"timestamp of another, which is one too many", nil, take(schemas.AnnotationCosignTimestamp), ""},
		{"certificate of another", nil, take(schemas.AnnotationCosignCertificate), "its proofs do not hold"},
		{"signature of another", nil, take(schemas.AnnotationCosignSignature), "its proofs do not hold"},
		{"no certificate", nil, set(schemas.AnnotationCosignCertificate, ""), "not signed by a trusted key"},
		{"certificate that is none", nil, set(schemas.AnnotationCosignCertificate, "x"), "not one certificate in PEM"},
		{"log entry that is none", nil, set(schemas.AnnotationCosignBundle, "{}"), "log entry that cannot be read"},
		{"log entry that is too large", nil, set(schemas.AnnotationCosignBundle, strings.Repeat(" ", maxLegacyProof+1)), "over the limit"},
		{"timestamp that is none", nil, set(schemas.AnnotationCosignTimestamp, "[]"), "timestamp that cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := newImage(t)
			candidate := s.keylessLegacy(t, payloadOf(digestOf(img)), tt.changes...)
			if tt.spoil != nil {
				tt.spoil(candidate)
			}
			img.Candidates = []pull.Candidate{candidate}
			v, err := Check(t.Context(), img, s.trustIdentity(t))
			checkOutcome(t, img, v, err, tt.want)
		})
	}
}

// TestKeylessOthers: what a certificate does not change.
func TestKeylessOthers(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	for name, tt := range map[string]struct {
		statement func(img *pull.Image) string
		want      string
	}{
		"another image": {func(*pull.Image) string { return statementOf(someOther, schemas.PredicateCosignSign) }, "signs another image"},
		"attestation":   {func(img *pull.Image) string { return statementOf(digestOf(img), "https://slsa.dev/provenance/v1") }, "is an attestation"},
	} {
		img := newImage(t)
		img.Candidates = []pull.Candidate{candidateOf(s.Sign(t, tt.statement(img)))}
		v, err := Check(t.Context(), img, s.trustIdentity(t))
		t.Run(name, func(t *testing.T) { checkOutcome(t, img, v, err, tt.want) })
	}
	img := newImage(t)
	img.Candidates = []pull.Candidate{candidateOf(s.Sign(t, statementOf(someOther, schemas.PredicateCosignSign), func(how *signing) {
		how.Change = func(b *protobundle.Bundle) {
			b.GetDsseEnvelope().Payload = []byte(statementOf(digestOf(img), schemas.PredicateCosignSign))
		}
	}))}
	v, err := Check(t.Context(), img, s.trustIdentity(t))
	checkOutcome(t, img, v, err, "its proofs do not hold")

	// A certificate says nothing where keys are trusted, and a key nothing where
	// identities are.
	key := newKey(t)
	img.Candidates = []pull.Candidate{s.keyless(t, digestOf(img))}
	v, err = Check(t.Context(), img, Keys{key.Key})
	checkOutcome(t, img, v, err, "signed with a certificate")
	img.Candidates = []pull.Candidate{key.bundle(t, digestOf(img))}
	v, err = Check(t.Context(), img, s.trustIdentity(t))
	checkOutcome(t, img, v, err, "not signed by a trusted key")

	// An index is signed like an image.
	underIndex(t, img, digest.Digest(someOther), img.Manifest.Descriptor.Digest)
	img.Candidates = []pull.Candidate{candidateOf([]byte("junk")), s.keyless(t, img.Root.Descriptor.Digest.String())}
	v, err = Check(t.Context(), img, s.trustIdentity(t))
	checkOutcome(t, img, v, err, "")
}

// TestCertificateLogs: a trusted root that names logs of certificates wants
// certificates to be in one.
func TestCertificateLogs(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	s.trusted = s.trust(t, verifytest.Trust{CertificateLogs: true})
	img := newImage(t)
	img.Candidates = []pull.Candidate{s.keyless(t, digestOf(img))}
	v, err := Check(t.Context(), img, s.trustIdentity(t))
	checkOutcome(t, img, v, err, "signed certificate timestamp")
}

// TestDeniedCertificateKey: a denied key is denied in a certificate, too.
func TestDeniedCertificateKey(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	img := newImage(t)
	img.Candidates = []pull.Candidate{s.keyless(t, digestOf(img))}
	leaf := must[*x509.Certificate](t)(x509.ParseCertificate(materialOf(t, img.Candidates[0].Bundle).GetCertificate().GetRawBytes()))
	key := must[Key](t)(ParseKey(pemOf("PUBLIC KEY", pkixOf(t, leaf.PublicKey)), "stolen.pub"))
	trust := s.trustIdentity(t)
	trust.rule.denied = denyList{key.ID: true}
	v, err := Check(t.Context(), img, trust)
	checkOutcome(t, img, v, err, "denied by the policy")
}

// TestIdentityPattern: a pattern is about the whole subject.
func TestIdentityPattern(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	for pattern, want := range map[string]string{
		`^https://git\.example/acme/.*$`: "",
		`^https://git\.example/(acme|other)/x/\.github/workflows/build\.yml@refs/heads/main$`: "",
		`^https://git\.example/acme/x$`: "does not match",
		`^git\.example/acme/.*$`:        "does not match",
	} {
		trust := must[*Signers](t)(NewSigners(nil, []schemas.PolicyIdentity{{Issuer: testIssuer, SubjectPattern: pattern}}, s.trusted))
		img := newImage(t)
		img.Candidates = []pull.Candidate{s.keyless(t, digestOf(img))}
		v, err := Check(t.Context(), img, trust)
		checkOutcome(t, img, v, err, want)
	}
	if _, err := NewSigners(nil, []schemas.PolicyIdentity{{Issuer: testIssuer, SubjectPattern: "git"}}, s.trusted); !errors.Is(err, ErrBadIdentity) {
		t.Errorf("open pattern: %v", err)
	}
	if _, err := NewSigners(nil, []schemas.PolicyIdentity{{Issuer: testIssuer, Subject: "s"}}, nil); err == nil {
		t.Error("identities are judged by nothing")
	}
	if _, err := NewSigners(nil, nil, s.trusted); !errors.Is(err, ErrNotTrusted) {
		t.Errorf("nobody: %v", err)
	}
}
