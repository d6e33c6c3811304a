// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
)

// maxCandidates bounds how many candidates are looked at: as many referrers as
// are ever fetched of an image and of its index, and as many legacy signatures
// of each.
const maxCandidates = 4 * image.MaxReferrers

// errOtherKey: the claims of a candidate hold, its signature is not by any of
// the trusted keys, or damaged, which cannot be told apart.
var errOtherKey = errors.New("not signed by a trusted key, or changed after it was signed")

// checker looks at the candidates of one image.
type checker struct {
	targets []digest.Digest // what a signature may be for
	keys    []verifier

	signers  []schemas.Signer
	attempts []Attempt
}

// run tries every candidate, good ones and bad ones in any order: a bad one
// never hides a good one. It fails only when ctx ends.
func (c *checker) run(ctx context.Context, candidates []pull.Candidate) error {
	for i, candidate := range candidates {
		if err := ctx.Err(); err != nil {
			return err
		}
		if i == maxCandidates {
			return nil
		}
		c.try(candidate)
	}
	return nil
}

// try checks one candidate and notes what became of it.
func (c *checker) try(candidate pull.Candidate) {
	attempt := Attempt{Kind: candidate.Kind, Manifest: candidate.Manifest, Subject: candidate.Subject}
	key, err := c.check(candidate, &attempt)
	if err != nil {
		attempt.Reason = clip(err.Error())
		c.attempts = append(c.attempts, attempt)
		return
	}
	attempt.Accepted, attempt.Key, attempt.KeyFile = true, key.ID, key.File
	c.attempts = append(c.attempts, attempt)
	c.signers = append(c.signers, schemas.Signer{
		Kind: "key", KeyID: key.ID, KeyFile: key.File, Format: string(candidate.Kind), Digest: candidate.Manifest,
	})
}

// check returns the trusted key that signed the candidate for this image.
func (c *checker) check(candidate pull.Candidate, attempt *Attempt) (Key, error) {
	if candidate.Err != nil {
		return Key{}, fmt.Errorf("could not be fetched: %w", candidate.Err)
	}
	switch candidate.Kind {
	case pull.KindBundle:
		return c.checkBundle(candidate.Bundle)
	case pull.KindLegacy:
		return c.checkLegacy(candidate.Payload, candidate.Annotations, attempt)
	}
	return Key{}, fmt.Errorf("signature kind %q is not known here", candidate.Kind)
}

// target returns which of the digests a signature may be for is among signed.
func (c *checker) target(signed ...string) (digest.Digest, error) {
	for _, t := range c.targets {
		for _, s := range signed {
			if s == t.String() {
				return t, nil
			}
		}
	}
	if len(signed) == 0 {
		return "", errors.New("signs no sha256 digest")
	}
	return "", fmt.Errorf("signs another image (%q): copied from there", signed[0])
}
