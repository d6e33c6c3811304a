// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"strconv"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestDistinct compares distinct with trying everything, for each way in which
// three signers can be three entries of a rule. The order in which signers are
// placed is not fixed, so that whoever gives each of them the first free entry
// is right about one such way by chance, and never about all of them.
func TestDistinct(t *testing.T) {
	t.Parallel()
	const n = 3
	for ways := range 1 << (n * n) {
		var entries [n][]int
		for bit := range n * n {
			if ways>>bit&1 == 1 {
				entries[bit/n] = append(entries[bit/n], bit%n)
			}
		}
		var signed []proven
		for i, e := range entries {
			// By two signatures, of which the later says it all.
			for _, part := range [][]int{e[:len(e)/2], e} {
				signed = append(signed, proven{signer: schemas.Signer{Kind: schemas.SignerIdentity, Subject: strconv.Itoa(i)}, entries: part})
			}
		}
		if got, want := distinct(signed), mostPlaced(entries[:], map[int]bool{}); got != want {
			t.Errorf("signers that are the entries %v: %d distinct, want %d", entries, got, want)
		}
	}
}

// mostPlaced is how many signers can have an entry each that is not taken yet.
func mostPlaced(entries [][]int, taken map[int]bool) int {
	if len(entries) == 0 {
		return 0
	}
	most := mostPlaced(entries[1:], taken) // the first of them without
	for _, e := range entries[0] {
		if !taken[e] {
			taken[e] = true
			most = max(most, 1+mostPlaced(entries[1:], taken))
			taken[e] = false
		}
	}
	return most
}

// TestDistinctSigners: who is somebody else.
func TestDistinctSigners(t *testing.T) {
	t.Parallel()
	one := schemas.Signer{Kind: schemas.SignerIdentity, Issuer: "i", Subject: "s"}
	for name, tt := range map[string]struct {
		change func(*schemas.Signer)
		want   int
	}{
		"the same":                   {func(*schemas.Signer) {}, 1},
		"the same, in another form":  {func(s *schemas.Signer) { s.Format, s.Digest = "legacy", "d" }, 1},
		"the same, at another place": {func(s *schemas.Signer) { s.KeyFile, s.SourceRef = "f", "r" }, 1},
		"of another kind":            {func(s *schemas.Signer) { s.Kind = schemas.SignerKey }, 2},
		"by another key":             {func(s *schemas.Signer) { s.KeyID = "k" }, 2},
		"of another issuer":          {func(s *schemas.Signer) { s.Issuer = "j" }, 2},
		"of another subject":         {func(s *schemas.Signer) { s.Subject = "t" }, 2},
	} {
		other := one
		tt.change(&other)
		if got := distinct([]proven{{signer: one, entries: []int{0, 1}}, {signer: other, entries: []int{0, 1}}}); got != tt.want {
			t.Errorf("%s: %d distinct, want %d", name, got, tt.want)
		}
	}
}
