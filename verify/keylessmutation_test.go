// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"reflect"
	"regexp"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/google/cel-go/cel"
	"github.com/opencontainers/go-digest"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"google.golang.org/protobuf/proto"
)

// newIdentityChecker trusts the identity of s for the image d.
func newIdentityChecker(t testing.TB, s *sigstore, d string) *checker {
	t.Helper()
	rule, err := s.trustIdentity(t).Rule("")
	if err != nil {
		t.Fatal(err)
	}
	return must[*checker](t)(newChecker(rule, []digest.Digest{digest.Digest(d)}, time.Now()))
}

// TestKeylessMutations: a bundle with a certificate and a proof of time in which
// one bit of any byte is changed is refused, or means the same: who signed what,
// when, by which proof.
func TestKeylessMutations(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	for name, changes := range map[string][]func(*signing){"log": {unstamped}, "timestamp": {unlogged}} {
		t.Run(name, func(t *testing.T) {
			c := newIdentityChecker(t, s, someOther)
			c.rule.logIDs = name == "log"
			original := s.keyless(t, someOther, changes...).Bundle
			want := must[*protobundle.Bundle](t)(meaning(original))
			honest := must[proven](t)(c.checkBundle(t.Context(), original, new(Attempt))).signer
			accepted := 0
			mutant := bytes.Clone(original)
			for i := range mutant {
				mutant[i] ^= 1 << (i % 8)
				if who, err := c.checkBundle(t.Context(), mutant, new(Attempt)); err == nil {
					accepted++
					if !reflect.DeepEqual(who.signer, honest) {
						t.Errorf("byte %d changed to %q says %+v", i, mutant[i], who.signer)
					}
					if got, err := meaning(mutant); err != nil || !sameProof(want, got) {
						t.Errorf("byte %d changed to %q is accepted: %q", i, mutant[i], mutant[max(i-40, 0):min(i+40, len(mutant))])
					}
				}
				mutant[i] = original[i]
			}
			if accepted > 64 { // letters of the names that sameProof leaves out
				t.Errorf("%d mutants accepted", accepted)
			}
		})
	}
}

// sameProof compares all that decides, but for what decides by holding or not:
// timestamps, whose ASN.1 says some things twice of which one is signed, and the
// signature line of a checkpoint. The kind of a log entry is in its body again.
func sameProof(want, got *protobundle.Bundle) bool {
	line := regexp.MustCompile("(?m)^— .*$")
	for _, b := range []*protobundle.Bundle{want, got} {
		b.GetVerificationMaterial().TimestampVerificationData = nil
		for _, e := range b.GetVerificationMaterial().GetTlogEntries() {
			e.KindVersion = nil
			if c := e.GetInclusionProof().GetCheckpoint(); c != nil {
				c.Envelope = line.ReplaceAllString(c.Envelope, "")
			}
		}
	}
	return proto.Equal(want, got)
}

// FuzzKeylessBundle: whatever is accepted says what was signed.
func FuzzKeylessBundle(f *testing.F) {
	s := newGoodSigstore(f)
	c := newIdentityChecker(f, s, someOther)
	c.parties = []party{c.party} // attestations are looked for, too
	c.rule.attestations = []requirement{{predicate: slsa1, spec: schemas.PolicyAttestation{Type: slsa1}, signers: c.rule.signers}}
	c.attested = []bool{false}
	f.Add(s.keyless(f, someOther).Bundle)
	f.Add(s.Sign(f, attested(someOther, slsa1, `{}`)))
	f.Add([]byte(`{"mediaType":"` + schemas.MediaTypeBundle + `","verificationMaterial":{"certificate":{"rawBytes":"MA=="},"tlogEntries":[{}]},"dsseEnvelope":{"payloadType":"application/vnd.in-toto+json","signatures":[{}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		attempt := new(Attempt)
		who, err := c.checkBundle(t.Context(), data, attempt)
		if err == nil && who.signer.Subject != testSubject {
			t.Errorf("accepted %q as by %+v", data, who.signer)
		}
	})
}

// FuzzTrustedRoot: one that is accepted can be asked anything.
func FuzzTrustedRoot(f *testing.F) {
	s := newGoodSigstore(f)
	data, err := s.trusted.material.MarshalJSON()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","certificateAuthorities":[{}],"tlogs":[{}],"timestampAuthorities":[{"certChain":{"certificates":[{}]}}]}`))
	img := newImage(f)
	bundle := s.keyless(f, digestOf(img))
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := ParseTrustedRoot(data, "tr.json")
		if err != nil {
			return
		}
		trust, err := NewSigners(nil, []schemas.PolicyIdentity{{Issuer: testIssuer, Subject: testSubject}}, root)
		if err != nil {
			return
		}
		c := must[*checker](t)(newChecker(trust.rule, []digest.Digest{img.Manifest.Descriptor.Digest}, time.Now()))
		_, _ = c.checkBundle(t.Context(), bundle.Bundle, new(Attempt))
	})
}

// FuzzCondition: what compiles ends in time, one way or the other.
func FuzzCondition(f *testing.F) {
	env := must[*cel.Env](f)(conditionEnv())
	for _, text := range []string{
		`true`, `predicate.a == 1`, `predicate.l.all(x, predicate.l.exists(y, x == y))`, `image.digest.matches("(a*)*")`,
		`subject[0].digest.sha256.size() > 0`, `[1,2].map(x, [x,x].map(y, y))`, `predicate`, `"a" + image.digest in image`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		condition, err := newCondition(env, text)
		if err != nil {
			return
		}
		predicate := map[string]any{"a": 1.0, "l": []any{1.0, "x", nil, map[string]any{}}}
		_ = condition.holds(t.Context(), predicate, []map[string]any{{"digest": map[string]string{"sha256": "00"}}}, subjectImage{digest: "sha256:00"})
	})
}

// FuzzStatement: one reading, whoever reads.
func FuzzStatement(f *testing.F) {
	f.Add([]byte(statementOf(someOther, schemas.PredicateCosignSign)))
	f.Add([]byte(attested(someOther, slsa1, `{"a":[1,{"b":null}]}`)))
	f.Add([]byte(`{"subject":[{"digest":{"sha256":"x"},"Digest":{}}],"Subject":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := readStatement(data)
		if err != nil {
			return
		}
		if _, err := s.digests(); err == nil && len(s.subjects) > maxSubjects {
			t.Errorf("%d subjects", len(s.subjects))
		}
		_, _ = s.content()
	})
}

// FuzzSubjectPattern: a pattern that is accepted matches whole subjects only. What
// it matches, it matches to the last byte, whatever flags it sets within.
func FuzzSubjectPattern(f *testing.F) {
	for _, pattern := range []string{
		`^a$`, `^(a|b)$`, `^a|b$`, `(?m)^a$`, `^(?m:a$)\n?$`, `^(?i)A$`, `^a\z$`, `^(?s:.*)$`, `^^a$$`, `^(?U)a+$`, `^$`, `^\Qa.b\E$`, `^(?-s).*$`,
	} {
		f.Add(pattern, "a")
		f.Add(pattern, "xa\n")
	}
	f.Fuzz(func(t *testing.T, pattern, subject string) {
		id, err := newIdentity(schemas.PolicyIdentity{Issuer: testIssuer, SubjectPattern: pattern})
		if err != nil || !id.pattern.MatchString(subject) {
			return
		}
		whole := regexp.MustCompile(id.pattern.String())
		whole.Longest()
		if at := whole.FindStringIndex(subject); at == nil || at[0] != 0 || at[1] != len(subject) {
			t.Errorf("%q matches %v of %q", pattern, at, subject)
		}
	})
}
