// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
)

// subjectsOf is the list of subjects of a statement about all these digests.
func subjectsOf(digests ...string) string {
	subjects := make([]string, 0, len(digests))
	for _, d := range digests {
		subjects = append(subjects, fmt.Sprintf(`{"digest":{"sha256":%q}}`, digest.Digest(d).Encoded()))
	}
	return "[" + strings.Join(subjects, ",") + "]"
}

// aboutAll is a signature statement about all these digests.
func aboutAll(digests ...string) string {
	return fmt.Sprintf(`{"_type":%q,"subject":%s,"predicateType":%q,"predicate":{}}`, statementType, subjectsOf(digests...), schemas.PredicateCosignSign)
}

// manyKeys is a signature statement about d with n keys, of which most say nothing.
func manyKeys(d string, n int) string {
	statement := statementOf(d, schemas.PredicateCosignSign)
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(statement), &members); err != nil {
		panic(err) // it is ours
	}
	more := ""
	for i := range n - len(members) {
		more += fmt.Sprintf(`"x%d":0,`, i)
	}
	return "{" + more + statement[1:]
}

// TestStatementLimits: what is at a limit is read, what is beyond is refused for
// that.
func TestStatementLimits(t *testing.T) {
	t.Parallel()
	key, d := newKey(t), digestOf(newImage(t))
	for _, tt := range []struct {
		name, statement, want string
	}{
		{"most subjects", aboutAll(slices.Repeat([]string{d}, maxSubjects)...), ""},
		{"too many subjects", aboutAll(slices.Repeat([]string{d}, maxSubjects+1)...), fmt.Sprintf("has %d subjects, over the limit of %d", maxSubjects+1, maxSubjects)},
		{"most keys", manyKeys(d, maxSubjects), ""},
		{"too many keys", manyKeys(d, maxSubjects+1), "it has too many keys"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img := newImage(t)
			img.Candidates = []pull.Candidate{candidateOf(key.envelope(t, inToto, tt.statement))}
			v, err := Check(t.Context(), img, Keys{key.Key})
			checkOutcome(t, img, v, err, tt.want)
		})
	}
}

// TestTwoReadings: what was read before the signature was checked must be what the
// library read when it checked it. Here the first reading is changed; of a text
// that the two read differently there is a row in [TestAttacks].
func TestTwoReadings(t *testing.T) {
	t.Parallel()
	key, d := newKey(t), digestOf(newImage(t))
	c := newTestChecker(t, d, key)
	b, err := parseBundle(key.envelope(t, inToto, aboutAll(someOther, d)), maxBundle)
	if err != nil {
		t.Fatal(err)
	}
	ours := map[string]string{"sha256": digest.Digest(d).Encoded()}
	for _, tt := range []struct {
		name   string
		change func(*statement)
		same   bool
	}{
		{"the same", func(*statement) {}, true},
		{"another version", func(s *statement) { s.kind = statementTypeOld }, false},
		{"another predicate type", func(s *statement) { s.predicate = slsa1 }, false},
		{"a subject less", func(s *statement) { s.subjects = s.subjects[1:] }, false},
		{"a subject more", func(s *statement) { s.subjects = append(s.subjects, ours) }, false},
		{"another subject", func(s *statement) { s.subjects[0] = ours }, false},
		{"a subject without a digest", func(s *statement) { s.subjects[0] = nil }, false},
		{"subjects in another order", func(s *statement) { s.subjects[0], s.subjects[1] = s.subjects[1], s.subjects[0] }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, err := statementOfBundle(b)
			if err != nil {
				t.Fatal(err)
			}
			tt.change(&s)
			who, err := c.proveStatement(evidence{Bundle: b}, s, c.party, c.targets)
			if tt.same {
				if err != nil || who.signer.KeyID != key.ID {
					t.Errorf("by %+v, error %v", who.signer, err)
				}
				return
			}
			if err == nil || who.result != nil || !strings.Contains(err.Error(), "two readings") {
				t.Errorf("by %+v, error %v, want two readings", who.signer, err)
			}
		})
	}
}
