// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	sigverify "github.com/sigstore/sigstore-go/pkg/verify"
)

// maxCandidates bounds how many candidates are looked at: of an image and of its
// index, in the local store and in the registry, as many as are ever fetched, and of
// each three words about those that were not.
const maxCandidates = 2 * 2 * (pull.MaxCandidates + 3)

// checker looks at the candidates of one image.
type checker struct {
	rule    Rule
	targets []digest.Digest // what a signature must be for, then what an attestation may
	image   subjectImage
	now     time.Time

	party    party   // who may sign the image
	parties  []party // and each of the rule's attestations
	signed   []proven
	signers  []schemas.Signer
	attested []bool // by attestation of the rule
	attempts []Attempt
	seen     Seen
	causes   []error // why the first candidates could not be read
}

// newChecker prepares the keys of rule.
func newChecker(rule Rule, targets []digest.Digest, now time.Time) (*checker, error) {
	c := &checker{rule: rule, targets: targets, now: now, attested: make([]bool, len(rule.attestations))}
	var err error
	if c.party, err = newParty(rule.signers); err != nil {
		return nil, err
	}
	for _, r := range rule.attestations {
		p, err := newParty(r.signers)
		if err != nil {
			return nil, err
		}
		c.parties = append(c.parties, p)
	}
	return c, nil
}

// look tries the candidates of img, those that are here and then, batch by batch,
// those that are still to be fetched. It ends when the rule is met, unless all are
// wanted. It fails only when ctx ends.
func (c *checker) look(ctx context.Context, img *pull.Image, all bool) error {
	err := c.run(ctx, img.Candidates)
	for more := true; err == nil && more && len(c.attempts) < maxCandidates && (all || len(c.verdict()) > 0); {
		var batch []pull.Candidate
		batch, more = img.More(ctx, c.wanted())
		err = c.run(ctx, batch)
	}
	c.sort()
	c.seen = newSeen(img.Looked(ctx), c.attempts, len(c.parties) > 0)
	return err
}

// sort brings what was found into an order that does not depend on what came first:
// by subject, then by kind. It is the order of reports and records.
func (c *checker) sort() {
	place := func(a Attempt) int {
		subject := slices.IndexFunc(c.targets, func(d digest.Digest) bool { return d.String() == a.Subject })
		return subject*len(kinds) + slices.Index(kinds, a.Kind)
	}
	slices.SortStableFunc(c.attempts, func(a, b Attempt) int { return place(a) - place(b) })
	slices.SortStableFunc(c.signers, func(a, b schemas.Signer) int {
		return slices.Index(kinds, pull.CandidateKind(a.Format)) - slices.Index(kinds, pull.CandidateKind(b.Format))
	})
}

// kinds are all kinds of candidates.
var kinds = []pull.CandidateKind{pull.KindBundle, pull.KindLegacy, pull.KindLegacyAttestation}

// wanted is what the rule still lacks; what would be looked at first if nothing is.
func (c *checker) wanted() pull.Wanted {
	w := pull.Wanted{Signature: distinct(c.signed) < c.rule.threshold}
	for i, met := range c.attested {
		if !met {
			w.Predicates = append(w.Predicates, c.rule.attestations[i].predicate)
		}
	}
	if !w.Signature && len(w.Predicates) == 0 {
		w.Signature = true
	}
	return w
}

// run tries every one of candidates, good ones and bad ones in any order: a bad one
// never hides a good one. It fails only when ctx ends.
func (c *checker) run(ctx context.Context, candidates []pull.Candidate) error {
	for _, candidate := range candidates {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(c.attempts) == maxCandidates {
			return nil
		}
		c.try(ctx, candidate)
	}
	return ctx.Err()
}

// try checks one candidate and notes what became of it.
func (c *checker) try(ctx context.Context, candidate pull.Candidate) {
	attempt := Attempt{Kind: candidate.Kind, Manifest: candidate.Manifest, Subject: candidate.Subject}
	who, err := c.check(ctx, candidate, &attempt)
	if err != nil {
		attempt.Reason, attempt.Unread = clip(joined.Text(err)), c.unread(candidate)
		if attempt.Unread && len(c.causes) < maxListed {
			c.causes = append(c.causes, candidate.Err)
		}
		c.attempts = append(c.attempts, attempt)
		return
	}
	who.signer.Format, who.signer.Digest = string(candidate.Kind), candidate.Manifest
	attempt.accept(who.signer)
	c.attempts = append(c.attempts, attempt)
	if attempt.Predicate == "" {
		c.signed = append(c.signed, who)
		c.signers = append(c.signers, who.signer)
	}
}

// unread says that a candidate may be what the rule asks for, and could not be read.
func (c *checker) unread(candidate pull.Candidate) bool {
	return candidate.Err != nil && pull.Unanswered(candidate.Err) &&
		(candidate.Kind != pull.KindLegacyAttestation || len(c.parties) > 0)
}

// check returns who signed the candidate for this image, or who attests
// something about it that the rule demands.
func (c *checker) check(ctx context.Context, candidate pull.Candidate, attempt *Attempt) (proven, error) {
	if candidate.Err != nil {
		return proven{}, fmt.Errorf("could not be fetched: %w", candidate.Err)
	}
	switch candidate.Kind {
	case pull.KindBundle:
		return c.checkBundle(ctx, candidate.Bundle, attempt)
	case pull.KindLegacy:
		return c.checkLegacy(candidate, attempt)
	case pull.KindLegacyAttestation:
		return c.checkLegacyAttestation(ctx, candidate, attempt)
	}
	return proven{}, fmt.Errorf("signature kind %q is not known here", candidate.Kind)
}

// checkBundle returns who signed data, a Sigstore bundle whose statement is
// about one of the targets.
func (c *checker) checkBundle(ctx context.Context, data []byte, attempt *Attempt) (proven, error) {
	b, err := parseBundle(data, c.statementLimit())
	if err != nil {
		return proven{}, err
	}
	e := evidence{Bundle: b}
	if !e.byKey() && c.rule.root == nil {
		return proven{}, errNoIdentities
	}
	s, err := statementOfBundle(b)
	switch {
	case err != nil:
		return proven{}, err
	case !s.isSignature():
		return c.checkAttestation(ctx, e, s, attempt)
	case len(data) > maxBundle:
		return proven{}, fmt.Errorf("is over the limit of %d bytes for a signature", maxBundle)
	case s.kind != statementType:
		return proven{}, fmt.Errorf("has the statement type %q: want %q", clip(s.kind), statementType)
	}
	return c.proveStatement(e, s, c.party, c.signable())
}

// statementLimit bounds what is parsed, in bytes: attestations, which may be
// large, only where the rule asks for some.
func (c *checker) statementLimit() int {
	if len(c.parties) > 0 {
		return maxAttestation
	}
	return maxBundle
}

// proveStatement returns who of p signed e, whose statement s is about one of
// targets.
func (c *checker) proveStatement(e evidence, s statement, p party, targets []digest.Digest) (proven, error) {
	digests, err := s.digests()
	if err != nil {
		return proven{}, err
	}
	about, err := c.target(targets, digests...)
	if err != nil {
		return proven{}, err
	}
	raw, err := hex.DecodeString(about.Encoded())
	if err != nil {
		return proven{}, err
	}
	e.artifact = func() sigverify.ArtifactPolicyOption {
		return sigverify.WithArtifactDigest(about.Algorithm().String(), raw)
	}
	who, err := c.prove(e, p)
	if err != nil {
		return proven{}, err
	}
	if !s.same(who.result) {
		return proven{}, errors.New("has two readings of one statement")
	}
	return who, nil
}

// signable is what a signature must be for. The image alone will not do when it
// was chosen from an index: nobody would vouch for the choice, and an index that
// nobody signed could offer an image for another platform, or an old one.
func (c *checker) signable() []digest.Digest { return c.targets[:1] }

// target returns which of targets is among signed.
func (c *checker) target(targets []digest.Digest, signed ...string) (digest.Digest, error) {
	for _, t := range targets {
		if slices.Contains(signed, t.String()) {
			return t, nil
		}
	}
	if len(signed) == 0 {
		return "", errors.New("signs no sha256 or sha512 digest")
	}
	for _, t := range c.targets {
		if slices.Contains(signed, t.String()) {
			return "", fmt.Errorf("signs the image %s alone, not the index %s that it was chosen from: sign that, or name the image by its digest", t, c.targets[0])
		}
	}
	return "", fmt.Errorf("signs another image (%q): copied from there", signed[0])
}
