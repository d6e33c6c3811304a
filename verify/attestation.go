// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"context"
	"fmt"
)

// checkAttestation sees whether e, whose statement s is no signature, is what
// the rule demands to be attested, and returns who signed it.
func (c *checker) checkAttestation(ctx context.Context, e evidence, s statement, attempt *Attempt) (proven, error) {
	attempt.Predicate = clip(s.predicate)
	failed := fmt.Errorf("is an attestation (%q), not a signature", clip(s.predicate))
	if s.kind != statementType && s.kind != statementTypeOld {
		return proven{}, failed
	}
	var who proven
	for i, r := range c.rule.attestations {
		if r.predicate != s.predicate {
			continue
		}
		by, err := c.proveStatement(e, s, c.parties[i], c.targets)
		if err == nil {
			err = c.satisfies(ctx, r, s)
		}
		if err != nil {
			failed = fmt.Errorf("attestation %q: %w", clip(s.predicate), err)
			continue
		}
		c.attested[i], who = true, by
	}
	if who.result == nil {
		return proven{}, failed
	}
	return who, nil
}

// satisfies evaluates the condition of r on what s says. The signature was
// verified before: conditions see no hostile content.
func (c *checker) satisfies(ctx context.Context, r requirement, s statement) error {
	if r.condition == nil {
		return nil
	}
	predicate, err := s.content()
	if err != nil {
		return err
	}
	subjects := make([]map[string]any, 0, len(s.subjects))
	for _, digests := range s.subjects {
		subjects = append(subjects, map[string]any{"digest": digests})
	}
	return r.condition.holds(ctx, predicate, subjects, c.image)
}

// verdict says what of the rule the candidates have not shown; nothing when the
// image is trusted.
func (c *checker) verdict() []string {
	var missing []string
	if n := distinct(c.signed); n == 0 {
		missing = append(missing, "it has no valid signature")
	} else if n < c.rule.threshold {
		missing = append(missing, fmt.Sprintf("it is signed by %d of the %d distinct signers needed", n, c.rule.threshold))
	}
	for i, ok := range c.attested {
		if !ok {
			missing = append(missing, "no valid "+c.rule.attestations[i].String())
		}
	}
	return missing
}

// distinct is how many different entries of the rule have signed, each by
// another signer: the largest matching between the two, found by augmenting
// paths. Nobody counts twice, under two names or by two signatures.
func distinct(signed []proven) int {
	entries := map[string][]int{} // by signer
	for _, p := range signed {
		id := p.signer.Kind + "\x00" + p.signer.KeyID + "\x00" + p.signer.Issuer + "\x00" + p.signer.Subject
		entries[id] = append(entries[id], p.entries...)
	}
	taken := map[int]string{} // entry → signer
	var place func(id string, seen map[int]bool) bool
	place = func(id string, seen map[int]bool) bool {
		for _, entry := range entries[id] {
			if seen[entry] {
				continue
			}
			seen[entry] = true
			other, ok := taken[entry]
			if !ok || place(other, seen) {
				taken[entry] = id
				return true
			}
		}
		return false
	}
	n := 0
	for id := range entries {
		if place(id, map[int]bool{}) {
			n++
		}
	}
	return n
}
