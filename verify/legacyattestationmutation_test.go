// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"bytes"
	"maps"
	"reflect"
	"testing"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
)

// demandProvenance has c ask for provenance by the signers of p.
func demandProvenance(t testing.TB, c *checker, p party) {
	t.Helper()
	c.parties, c.attested = []party{p}, []bool{false}
	c.rule.attestations = []requirement{{predicate: slsa1, spec: schemas.PolicyAttestation{Type: slsa1}}}
}

// legacySays returns who made the attestation, and what the statement says.
func legacySays(t testing.TB, c *checker, candidate pull.Candidate) (schemas.Signer, []byte, error) {
	t.Helper()
	attempt := new(Attempt)
	who, err := c.checkLegacyAttestation(t.Context(), candidate, attempt)
	if err != nil {
		return schemas.Signer{}, nil, err
	}
	if attempt.Predicate != slsa1 {
		t.Errorf("accepted as an attestation of type %q: it would count as a signature", attempt.Predicate)
	}
	envelope, err := readEnvelope(candidate.Payload)
	if err != nil {
		return schemas.Signer{}, nil, err
	}
	return who.signer, envelope.GetPayload(), nil
}

// TestLegacyAttestationMutations: an attestation of cosign 2 in which one bit of
// any byte of the envelope or of what stands beside it is changed is refused, or
// says the same: what, by whom, when, by which proof.
func TestLegacyAttestationMutations(t *testing.T) {
	t.Parallel()
	s, key := newGoodSigstore(t), newKey(t)
	text := oldStatement(someOther, `{"n":3}`)
	for name, original := range map[string]pull.Candidate{
		"key":       key.legacyEnvelope(t, inToto, text),
		"log":       s.keylessAttestation(t, text, unstamped),
		"timestamp": s.keylessAttestation(t, text, unlogged),
	} {
		t.Run(name, func(t *testing.T) {
			c := newIdentityChecker(t, s, someOther)
			c.party.keys = must[[]verifier](t)(newVerifiers([]Key{key.Key}))
			c.rule.logIDs = name == "log"
			demandProvenance(t, c, c.party)
			honest, payload, err := legacySays(t, c, original)
			if err != nil {
				t.Fatal(err)
			}
			try := func(where string, i int, candidate pull.Candidate) int {
				who, says, err := legacySays(t, c, candidate)
				if err != nil {
					return 0
				}
				if !reflect.DeepEqual(who, honest) || !bytes.Equal(says, payload) {
					t.Errorf("%s: byte %d changed: %+v says %s", where, i, who, says)
				}
				return 1
			}
			accepted := 0
			for i := range original.Payload {
				candidate := original
				candidate.Payload = bytes.Clone(original.Payload)
				candidate.Payload[i] ^= 1 << (i % 8)
				accepted += try("envelope", i, candidate)
			}
			if accepted > 0 { // the keyid, which is not looked at, is empty
				t.Errorf("%d mutants of the envelope are accepted", accepted)
			}
			for annotation, text := range original.Annotations {
				accepted := 0
				for i := range text {
					mutant := []byte(text)
					mutant[i] ^= 1 << (i % 8)
					candidate := original
					candidate.Annotations = maps.Clone(original.Annotations)
					candidate.Annotations[annotation] = string(mutant)
					accepted += try(annotation, i, candidate)
				}
				if annotation != "predicateType" && accepted > len(text)/8 { // as in TestKeylessLegacyMutations
					t.Errorf("%s: %d of %d mutants accepted", annotation, accepted, len(text))
				}
			}
		})
	}
}

// FuzzLegacyAttestation: whatever stands at the tag, who is named is who signed,
// and what is accepted is about the image.
func FuzzLegacyAttestation(f *testing.F) {
	s, key := newGoodSigstore(f), fixedKey(f)
	c := newIdentityChecker(f, s, someOther)
	c.party.keys = must[[]verifier](f)(newVerifiers([]Key{key.Key}))
	demandProvenance(f, c, c.party)
	text := oldStatement(someOther, `{"n":3}`)
	add := func(candidate pull.Candidate) {
		a := candidate.Annotations
		f.Add(candidate.Payload, a[schemas.AnnotationCosignCertificate], a[schemas.AnnotationCosignBundle], a[schemas.AnnotationCosignTimestamp])
	}
	add(key.legacyEnvelope(f, inToto, text))
	add(s.keylessAttestation(f, text))
	add(s.keylessAttestation(f, text, unlogged))
	add(key.legacyEnvelope(f, inToto, statementOf(someOther, schemas.PredicateCosignSign)))
	f.Add([]byte(`{"payloadType":"`+inToto+`","payload":"e30=","signatures":[{"keyid":"","sig":"AAAA"}]}`), "", `{"Payload":{"body":"`+intotoBody+`","logID":"00"}}`, "")
	f.Add([]byte(`{"payloadType":1,"Payload":null,"signatures":[{},{}]}`), "x", "{}", "[]")
	f.Fuzz(func(t *testing.T, envelope []byte, certificate, entry, stamp string) {
		who, says, err := legacySays(t, c, legacyStatement(envelope, map[string]string{
			schemas.AnnotationCosignCertificate: certificate, schemas.AnnotationCosignBundle: entry, schemas.AnnotationCosignTimestamp: stamp,
		}))
		if err != nil {
			return
		}
		if who.Subject != testSubject && who.KeyID != key.ID {
			t.Errorf("accepted as by %+v", who)
		}
		if !bytes.Contains(says, []byte(digest.Digest(someOther).Encoded())) {
			t.Errorf("accepted %s", says)
		}
	})
}
