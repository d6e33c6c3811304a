// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"testing"

	"github.com/bpfimg/bpfimg/pull"
)

// BenchmarkCheck is the whole of a verification but the parsing of the object:
// keys, hashes and the signature.
func BenchmarkCheck(b *testing.B) {
	key := newKey(b)
	img := newImage(b)
	for name, candidate := range map[string]pull.Candidate{
		"bundle": key.bundle(b, digestOf(img)),
		"legacy": key.legacy(b, payloadOf(digestOf(img))),
	} {
		b.Run(name, func(b *testing.B) {
			img.Candidates = []pull.Candidate{candidate}
			for b.Loop() {
				c := newTestChecker(b, digestOf(img), key)
				if _, err := intact(img); err != nil {
					b.Fatal(err)
				}
				if err := c.run(b.Context(), img.Candidates); err != nil || len(c.signers) != 1 {
					b.Fatal(err, c.attempts)
				}
			}
		})
	}
}
