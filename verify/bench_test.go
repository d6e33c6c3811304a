// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
)

// BenchmarkCheck is the whole of a verification but the parsing of the object:
// keys, hashes, certificates, log and signature. The bounds are 3 ms by a key and
// 8 ms with a certificate over reading the image.
func BenchmarkCheck(b *testing.B) {
	key, s := newKey(b), newGoodSigstore(b)
	img := newImage(b)
	d := digestOf(img)
	byKey := must[Rule](b)(Keys{key.Key}.Rule(""))
	byIdentity := must[Rule](b)(s.trustIdentity(b).Rule(""))
	attestedBy := policyFor(b, fakeFiles{keys: map[string]*testKey{"k": key}},
		"  keys: [k]\n  attestations: [{type: slsaprovenance1, condition: 'predicate.a == 1'}]\n")
	withAttestation := must[Rule](b)(attestedBy.Rule(img.Reference.Name()))
	for _, bench := range []struct {
		name       string
		rule       Rule
		candidates []pull.Candidate
	}{
		{"bundle", byKey, []pull.Candidate{key.bundle(b, d)}},
		{"legacy", byKey, []pull.Candidate{key.legacy(b, payloadOf(d))}},
		{"keyless bundle", byIdentity, []pull.Candidate{s.keyless(b, d)}},
		{"keyless legacy", byIdentity, []pull.Candidate{s.keylessLegacy(b, payloadOf(d))}},
		{"bundle and attestation", withAttestation, []pull.Candidate{
			key.bundle(b, d), candidateOf(key.envelope(b, inToto, attested(d, slsa1, `{"a":1}`))),
		}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				targets, err := intact(img)
				if err != nil {
					b.Fatal(err)
				}
				c, err := newChecker(bench.rule, targets, time.Now())
				if err != nil {
					b.Fatal(err)
				}
				if err := c.run(b.Context(), bench.candidates); err != nil || len(c.verdict()) != 0 {
					b.Fatal(err, c.attempts)
				}
			}
		})
	}
}

// BenchmarkPolicy is what a command pays once for a policy with a trusted root
// and a condition.
func BenchmarkPolicy(b *testing.B) {
	key, s := newKey(b), newGoodSigstore(b)
	data := must[[]byte](b)(s.trusted.material.MarshalJSON())
	for b.Loop() {
		root := must[*TrustedRoot](b)(ParseTrustedRoot(data, "tr.json"))
		files := fakeFiles{trustedRoot: root, keys: map[string]*testKey{"k": key}}
		policyFor(b, files, "  keys: [k]\n  attestations: [{type: "+schemas.PredicateCosignSign+"x, condition: 'predicate.a == 1'}]\n"+ourIdentity)
	}
}
