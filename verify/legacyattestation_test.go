// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify/verifytest"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
)

// oldStatement is what cosign 2 attested: a statement of the older version.
func oldStatement(d, predicate string) string {
	return strings.Replace(attested(d, slsa1, predicate), "Statement/v1", "Statement/v0.1", 1)
}

// rewrite replaces a part of an envelope.
func rewrite(c pull.Candidate, old, with string) pull.Candidate {
	if !strings.Contains(string(c.Payload), old) {
		panic("nothing to replace: " + old)
	}
	c.Payload = []byte(strings.Replace(string(c.Payload), old, with, 1))
	return c
}

// envelopeWith has the payload of one envelope and the rest of another.
func envelopeWith(t *testing.T, c, payloadOf pull.Candidate) pull.Candidate {
	t.Helper()
	var own, other map[string]any
	if err := errors.Join(json.Unmarshal(c.Payload, &own), json.Unmarshal(payloadOf.Payload, &other)); err != nil {
		t.Fatal(err)
	}
	own["payload"] = other["payload"]
	c.Payload = must[[]byte](t)(json.Marshal(own))
	return c
}

// TestLegacyAttestations: what stands at cosign 2's tag for attestations, by a
// key, right and wrong.
func TestLegacyAttestations(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	key := newKey(t)
	files := fakeFiles{trustedRoot: s.trusted, keys: map[string]*testKey{"k": key}}
	d := digestOf(newImage(t))
	const demand = "  keys: [k]\n  attestations: [{type: slsaprovenance1, condition: 'predicate.n == 3'}]\n"
	good := key.legacyEnvelope(t, inToto, oldStatement(d, `{"n":3}`))
	other := key.legacyEnvelope(t, inToto, oldStatement(someOther, `{"n":3}`))
	noted := func(name, value string) pull.Candidate {
		c := good
		c.Annotations = map[string]string{name: value}
		return c
	}
	for _, tt := range []struct {
		name        string
		attestation pull.Candidate
		want        string
	}{
		{"there", good, ""},
		{"newer statement", key.legacyEnvelope(t, inToto, attested(d, slsa1, `{"n":3}`)), ""},
		{"large", key.legacyEnvelope(t, inToto, oldStatement(d, `{"n":3,"x":"`+strings.Repeat("y", maxBundle)+`"}`)), ""},
		{"annotation that lies about the type", noted("predicateType", schemas.PredicateCosignSign), ""},
		{"with an entry that a key does not need", noted(schemas.AnnotationCosignBundle, `{"Payload":{"body":"`+intotoBody+`","logID":"00"}}`), ""},
		{"about another image", other, "signs another image"},
		{"of another image, with the subject rewritten", envelopeWith(t, other, good), "changed after it was signed"},
		{"predicate rewritten", envelopeWith(t, good, key.legacyEnvelope(t, inToto, oldStatement(d, `{"n":3,"x":1}`))), "changed after it was signed"},
		{"condition false", key.legacyEnvelope(t, inToto, oldStatement(d, `{"n":4}`)), "is false"},
		{"by a stranger", newKey(t).legacyEnvelope(t, inToto, oldStatement(d, `{"n":3}`)), "not signed by a trusted key"},
		{"of another type", key.legacyEnvelope(t, inToto, attested(d, "https://spdx.dev/Document", `{"n":3}`)), "is an attestation"},
		{"statement nobody knows", key.legacyEnvelope(t, inToto, strings.Replace(attested(d, slsa1, `{"n":3}`), "Statement/v1", "Statement/v9", 1)), "is an attestation"},
		{"a signature at this tag", key.legacyEnvelope(t, inToto, statementOf(d, schemas.PredicateCosignSign)), "says that it is a signature"},
		{"payload of another type", key.legacyEnvelope(t, "text/plain", oldStatement(d, `{"n":3}`)), "no in-toto statement"},
		{"payload type rewritten", rewrite(key.legacyEnvelope(t, "text/plain", oldStatement(d, `{"n":3}`)), "text/plain", inToto), "changed after it was signed"},
		{"subject twice", key.legacyEnvelope(t, inToto, strings.Replace(oldStatement(d, `{"n":3}`), `{"_type"`, `{"subject":[],"_type"`, 1)), "given twice"},
		{"payload twice", rewrite(good, `"payload":`, `"payload":"e30=","payload":`), "given twice"},
		{"key in other letters", rewrite(good, `"payload":`, `"Payload":"e30=","payload":`), "is not known"},
		{"no signature", rewrite(good, `"signatures":[{`, `"signatures":[],"x":[{`), "is not known"},
		{"two signatures", rewrite(good, `"signatures":[`, `"signatures":[{"sig":"aaaa"},`), "has 2 signatures"},
		{"signature that is none", rewrite(good, `"sig":"`, `"sig":"!`), "not base64"},
		{"signature too long", rewrite(good, `"sig":"`, `"sig":"`+strings.Repeat("A", maxSignature)), "over the limit"},
		{"payload that is none", rewrite(good, `"payload":"`, `"payload":"!`), "not base64"},
		{"more behind it", rewrite(good, `}]}`, `}]}{}`), "more follows"},
		{"many parts", rewrite(good, `"signatures":[`, `"signatures":[`+strings.Repeat("0,", maxEnvelopeParts)), "parts, over the limit"},
		{"junk", legacyStatement([]byte("junk"), nil), "is not an envelope"},
		{"empty", legacyStatement(nil, nil), "is not an envelope"},
		{"too large", key.legacyEnvelope(t, inToto, oldStatement(d, `{"n":3,"x":"`+strings.Repeat("y", maxAttestation)+`"}`)), "over the limit"},
		{"certificate that is none", noted(schemas.AnnotationCosignCertificate, "x"), "not one certificate in PEM"},
		{"log entry that is none", noted(schemas.AnnotationCosignBundle, "{}"), "log entry that cannot be read"},
		{"not fetched", pull.Candidate{Kind: pull.KindLegacyAttestation, Err: errors.New("gone")}, "could not be fetched"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := newImage(t)
			img.Candidates = []pull.Candidate{tt.attestation, key.bundle(t, d)}
			v, err := Check(t.Context(), img, policyFor(t, files, demand))
			checkDecision(t, img, v, err, tt.want)
			// A bad one in front does not hide a good one.
			img.Candidates = []pull.Candidate{tt.attestation, key.bundle(t, d), good}
			v, err = Check(t.Context(), img, policyFor(t, files, demand))
			checkDecision(t, img, v, err, "")
			// Alone it is never enough, where attestations are demanded and where not.
			img.Candidates = []pull.Candidate{tt.attestation, good}
			for _, clauses := range []string{demand, "  keys: [k]\n"} {
				v, err = Check(t.Context(), img, policyFor(t, files, clauses))
				checkDecision(t, img, v, err, "no valid signature")
			}
		})
	}
}

// intotoBody is the body of an entry of the kind intoto 0.0.1.
const intotoBody = "eyJraW5kIjoiaW50b3RvIiwiYXBpVmVyc2lvbiI6IjAuMC4xIn0="

// TestLegacyAttestationKinds: with every kind of key, and none of them under
// another's name.
func TestLegacyAttestationKinds(t *testing.T) {
	t.Parallel()
	d := digestOf(newImage(t))
	for name, key := range allKinds(t) {
		t.Run(name, func(t *testing.T) {
			files := fakeFiles{keys: map[string]*testKey{"k": key, "other": newKey(t)}}
			img := newImage(t)
			img.Candidates = []pull.Candidate{key.bundle(t, d), key.legacyEnvelope(t, inToto, oldStatement(d, `{}`))}
			const demand = "  keys: [k]\n  attestations: [{type: slsaprovenance1%s}]\n"
			v, err := Check(t.Context(), img, policyFor(t, files, fmt.Sprintf(demand, "")))
			checkDecision(t, img, v, err, "")
			v, err = Check(t.Context(), img, policyFor(t, files, fmt.Sprintf(demand, ", keys: [other]")))
			checkDecision(t, img, v, err, "not signed by a trusted key")
		})
	}
}

// TestLegacyAttestationsOfIndex: the subject may be the image or the index it was
// chosen from.
func TestLegacyAttestationsOfIndex(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	files := fakeFiles{keys: map[string]*testKey{"k": key}}
	img := newImage(t)
	underIndex(t, img, img.Manifest.Descriptor.Digest)
	index := img.Root.Descriptor.Digest.String()
	for name, subject := range map[string]string{"index": index, "image": digestOf(img)} {
		img.Candidates = []pull.Candidate{key.bundle(t, index), key.legacyEnvelope(t, inToto, oldStatement(subject, `{}`))}
		v, err := Check(t.Context(), img, policyFor(t, files, "  keys: [k]\n  attestations: [{type: slsaprovenance1}]\n"))
		t.Run(name, func(t *testing.T) { checkDecision(t, img, v, err, "") })
	}
}

// TestKeylessLegacyAttestations: the same with certificates.
func TestKeylessLegacyAttestations(t *testing.T) {
	t.Parallel()
	s, other := newGoodSigstore(t), newGoodSigstore(t)
	key := newKey(t)
	files := fakeFiles{trustedRoot: s.trusted, keys: map[string]*testKey{"k": key}}
	d := digestOf(newImage(t))
	text := oldStatement(d, `{}`)
	strange := s.keylessAttestation(t, oldStatement(d, `{"other":true}`))
	take := func(name string) func(pull.Candidate) {
		return func(c pull.Candidate) { c.Annotations[name] = strange.Annotations[name] }
	}
	set := func(name, value string) func(pull.Candidate) {
		return func(c pull.Candidate) { c.Annotations[name] = value }
	}
	const required, optional = "", "  transparencyLog: optional\n"
	for _, tt := range []struct {
		name    string
		by      *sigstore
		log     string
		changes []func(*signing)
		spoil   func(pull.Candidate)
		want    string
	}{
		{"good", s, required, nil, nil, ""},
		{"log only", s, required, changes(unstamped), nil, ""},
		{"timestamp of the envelope only", s, optional, changes(unlogged), nil, ""},
		{"timestamp of the signature only", s, optional, changes(unlogged), func(c pull.Candidate) {
			sig := must[*protodsse.Envelope](t)(readEnvelope(c.Payload)).GetSignatures()[0].GetSig()
			stamp := s.Stamp(t, sig).GetRfc3161Timestamps()[0].GetSignedTimestamp()
			kept := must[[]byte](t)(json.Marshal(map[string][]byte{"SignedRFC3161Timestamp": stamp}))
			c.Annotations[schemas.AnnotationCosignTimestamp] = string(kept)
		}, ""},
		{"expired now, valid when it was logged", s, required, changes(validFrom(-30*time.Minute, 10*time.Minute), loggedAt(25*time.Minute), unstamped), nil, ""},
		{"no log entry", s, required, changes(unlogged), nil, "no entry of a transparency log"},
		{"neither entry nor timestamp", s, optional, changes(unlogged, unstamped), nil, "nothing proves when it was signed"},
		{"expired certificate", s, required, changes(validFrom(-30*time.Minute, 10*time.Minute)), nil, "its proofs do not hold"},
		{"expired certificate, stamped after", s, optional, changes(validFrom(-30*time.Minute, 10*time.Minute), unlogged), nil, "leaf certificate"},
		{"certificate not valid yet", s, required, changes(validFrom(30*time.Minute, 10*time.Minute)), nil, "its proofs do not hold"},
		{"other authority", other, required, nil, nil, "its proofs do not hold"},
		{"wrong subject", s, required, changes(func(how *signing) { how.Template = verifytest.Certificate(t, testSubject+"x", testIssuer) }), nil, "another identity"},
		{"wrong issuer", s, required, changes(func(how *signing) { how.Template = verifytest.Certificate(t, testSubject, testIssuer+".evil") }), nil, "another identity"},
		{"log entry of another", s, required, nil, take(schemas.AnnotationCosignBundle), "its proofs do not hold"},
		{"log entry of another, by its certificate", s, required, nil, func(c pull.Candidate) {
			take(schemas.AnnotationCosignBundle)(c)
			take(schemas.AnnotationCosignCertificate)(c)
		}, "its proofs do not hold"},
		{"log entry with another time", s, required, nil, func(c pull.Candidate) {
			entry := c.Annotations[schemas.AnnotationCosignBundle]
			c.Annotations[schemas.AnnotationCosignBundle] = strings.Replace(entry, `"integratedTime":1`, `"integratedTime":2`, 1)
		}, "its proofs do not hold"},
		{"log entry by another log", s, required, nil, func(c pull.Candidate) {
			c.Annotations[schemas.AnnotationCosignBundle] = other.keylessAttestation(t, text).Annotations[schemas.AnnotationCosignBundle]
		}, "its proofs do not hold"},
		{"log entry of a kind that does not bind", s, required, nil, set(schemas.AnnotationCosignBundle, `{"Payload":{"body":"`+intotoBody+`","logID":"00"}}`), "intoto 0.0.1"},
		{"timestamp of another", s, optional, changes(unlogged), take(schemas.AnnotationCosignTimestamp), "its proofs do not hold"},
		{"certificate of another", s, required, nil, take(schemas.AnnotationCosignCertificate), "its proofs do not hold"},
		{"envelope of another", s, required, nil, func(c pull.Candidate) {
			take(schemas.AnnotationCosignCertificate)(c)
			take(schemas.AnnotationCosignTimestamp)(c)
		}, "its proofs do not hold"},
		{"no certificate", s, required, nil, set(schemas.AnnotationCosignCertificate, ""), "not signed by a trusted key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			attestation := tt.by.keylessAttestation(t, text, tt.changes...)
			if tt.spoil != nil {
				tt.spoil(attestation)
			}
			clauses := "  keys: [k]\n" + tt.log + "  attestations: [{type: slsaprovenance1, identities: [{issuer: '" + testIssuer + "', subject: '" + testSubject + "'}]}]\n"
			img := newImage(t)
			img.Candidates = []pull.Candidate{attestation, key.bundle(t, d)}
			v, err := Check(t.Context(), img, policyFor(t, files, clauses))
			checkDecision(t, img, v, err, tt.want)
		})
	}
}
