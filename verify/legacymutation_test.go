// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"maps"
	"reflect"
	"testing"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
)

// TestKeylessLegacyMutations: what cosign 2 stored of a signature with a
// certificate, in which one bit of any byte is changed, is refused or says the
// same: who signed, when, and that it is in the log.
func TestKeylessLegacyMutations(t *testing.T) {
	t.Parallel()
	s := newGoodSigstore(t)
	for name, changes := range map[string][]func(*signing){"log": {unstamped}, "timestamp": {unlogged}} {
		t.Run(name, func(t *testing.T) {
			c := newIdentityChecker(t, s, someOther)
			c.rule.logIDs = name == "log"
			original := s.keylessLegacy(t, payloadOf(someOther), changes...)
			honest := must[proven](t)(c.checkLegacy(original, new(Attempt))).signer
			for annotation, text := range original.Annotations {
				mutant := []byte(text)
				accepted := 0
				for i := range mutant {
					mutant[i] ^= 1 << (i % 8)
					candidate := pull.Candidate{Kind: pull.KindLegacy, Payload: original.Payload, Annotations: maps.Clone(original.Annotations)}
					candidate.Annotations[annotation] = string(mutant)
					if who, err := c.checkLegacy(candidate, new(Attempt)); err == nil {
						accepted++
						if !reflect.DeepEqual(who.signer, honest) {
							t.Errorf("%s: byte %d changed to %q says %+v", annotation, i, mutant[i], who.signer)
						}
					}
					mutant[i] ^= 1 << (i % 8)
				}
				// White space, what PEM has around its content, parts of ASN.1 that are
				// said twice and signed once.
				if accepted > len(text)/8 {
					t.Errorf("%s: %d of %d mutants accepted", annotation, accepted, len(text))
				}
				t.Logf("%s: %d of %d mutants mean the same", annotation, accepted, len(text))
			}
		})
	}
}

// FuzzLegacyProof: whatever stands beside a payload, who is named is who signed.
func FuzzLegacyProof(f *testing.F) {
	s, key := newGoodSigstore(f), fixedKey(f)
	c := newIdentityChecker(f, s, someOther)
	c.party.keys = must[[]verifier](f)(newVerifiers([]Key{key.Key}))
	payload := payloadOf(someOther)
	add := func(annotations map[string]string) {
		f.Add(annotations[schemas.AnnotationCosignSignature], annotations[schemas.AnnotationCosignCertificate],
			annotations[schemas.AnnotationCosignBundle], annotations[schemas.AnnotationCosignTimestamp])
	}
	add(s.keylessLegacy(f, payload).Annotations)
	add(s.keylessLegacy(f, payload, unlogged).Annotations)
	add(key.legacy(f, payload).Annotations)
	f.Add("AAAA", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
		`{"SignedEntryTimestamp":"AA==","Payload":{"body":"e30=","integratedTime":-1,"logIndex":-1,"logID":"00"}}`, `{"SignedRFC3161Timestamp":"MAA="}`)
	f.Fuzz(func(t *testing.T, sig, certificate, entry, stamp string) {
		who, err := c.checkLegacy(pull.Candidate{Kind: pull.KindLegacy, Payload: []byte(payload), Annotations: map[string]string{
			schemas.AnnotationCosignSignature: sig, schemas.AnnotationCosignCertificate: certificate,
			schemas.AnnotationCosignBundle: entry, schemas.AnnotationCosignTimestamp: stamp,
		}}, new(Attempt))
		if err == nil && who.signer.Subject != testSubject && who.signer.KeyID != key.ID {
			t.Errorf("accepted as by %+v", who.signer)
		}
	})
}
