// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
)

// Explanation says clause by clause what is asked of an image and what of it is
// met (`bpfimg policy explain`).
type Explanation struct {
	// Reference is registry and repository, Digest that of the image manifest.
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	// Trusted is what [Check] says.
	Trusted bool `json:"trusted"`
	// Undecided says that no clause is against it but those of which something that
	// may show them could not be read.
	Undecided bool `json:"undecided,omitempty"`
	// Rule names the rule that matches, "" when none does.
	Rule    string   `json:"rule,omitempty"`
	Clauses []Clause `json:"clauses"`
	// Signers were proven; Attempts has every candidate looked at.
	Signers  []schemas.Signer `json:"signers,omitempty"`
	Attempts []Attempt        `json:"attempts,omitempty"`
	// Seen says what was looked at; nil when nothing was.
	Seen     *Seen    `json:"seen,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// Reasons are the sentences of the clauses that are not met.
func (e Explanation) Reasons() []string { return unmet(e.Clauses) }

// Explain goes through everything that [CheckWith] asks, where that stops at the
// first refusal. It never uses a remembered verdict. It fails only when ctx ends
// or the objects cannot be read.
func Explain(ctx context.Context, img *pull.Image, trust Trust, opts Options) (Explanation, error) {
	e := Explanation{Reference: img.Reference.Name(), Digest: img.Manifest.Descriptor.Digest.String()}
	e.add("deny.digests", "nothing of the image is listed", denied(img, trust))
	targets, err := intact(img)
	if err != nil {
		e.add("content", "all bytes match their digests", err)
		return e, nil
	}
	rule, err := trust.Rule(e.Reference)
	if err != nil {
		e.add("repository", "a rule matches", err)
		return e, nil
	}
	e.Rule = rule.String()
	e.Clauses = append(e.Clauses, Clause{Clause: "repository", Want: "a rule matches", Met: true, Found: e.Rule})
	c, err := newChecker(rule, targets, now(opts))
	if err != nil {
		return e, err
	}
	c.image = describeSubject(img)
	if err := c.look(ctx, img, true); err != nil {
		return e, fmt.Errorf("verifying %s@%s: %w", e.Reference, e.Digest, err)
	}
	e.Signers, e.Attempts, e.Seen = c.signers, c.attempts, &c.seen
	e.Clauses = append(e.Clauses, c.signatureClauses()...)
	v, err := describe(&Verified{img: img, rule: rule, signers: c.signers, attempts: c.attempts})
	if err != nil {
		return e, err
	}
	e.Warnings = v.Warnings()
	e.Clauses = append(e.Clauses, rule.limits.judge(v.desc)...)
	reasons := len(e.Reasons())
	e.Trusted, e.Undecided = reasons == 0, reasons > 0 && c.seen.open() && reasons == len(unmet(c.signatureClauses()))
	return e, nil
}

// add notes a clause that err speaks against, if it is not nil.
func (e *Explanation) add(clause, want string, err error) {
	c := Clause{Clause: clause, Want: want, Met: err == nil}
	if err != nil {
		c.Found = clip(joined.Text(err))
	}
	e.Clauses = append(e.Clauses, c)
}

// signatureClauses say who had to sign and attest, and who did.
func (c *checker) signatureClauses() []Clause {
	n := distinct(c.signed)
	want := fmt.Sprintf("%d of: %s", c.rule.threshold, c.rule.signers)
	signed := Clause{Clause: "signatures", Want: want, Met: n >= c.rule.threshold, Found: c.foundSigners(n)}
	clauses := []Clause{signed}
	for i, met := range c.attested {
		clause := Clause{Clause: "attestations", Want: c.rule.attestations[i].String(), Met: met, Found: "found, and signed"}
		if !met {
			clause.Found = "no valid one"
			if why := refused(c.attempts); why != "" {
				clause.Found += " among " + why
			}
			clause.Found += c.left()
		}
		clauses = append(clauses, clause)
	}
	return clauses
}

// foundSigners says who has signed and, when they are too few, why no other
// candidate counts.
func (c *checker) foundSigners(n int) string {
	names := make([]string, 0, len(c.signers))
	for _, s := range c.signers {
		names = append(names, signerName(s))
	}
	text := "nobody"
	if len(names) > 0 {
		text = "signed by " + listed(names)
	}
	if n >= c.rule.threshold {
		return text
	}
	left := c.left()
	if why := refused(c.attempts); why != "" {
		return text + "; refused among " + why + left
	}
	if left != "" {
		return text + left
	}
	return text + "; there are no further signatures"
}

// left says, to be added to a sentence, what was not looked at.
func (c *checker) left() string {
	text := unread(c.attempts)
	if more := c.seen.text(c.image.repository + "@" + c.image.digest); more != "" {
		text += "; " + more
	}
	return text
}

// signerName names a signer in a few words.
func signerName(s schemas.Signer) string {
	switch {
	case s.Kind == schemas.SignerIdentity:
		return fmt.Sprintf("%q of issuer %q", clip(s.Subject), clip(s.Issuer))
	case s.KeyFile != "":
		return "key " + s.KeyFile
	}
	return "key " + s.KeyID
}

// String lists who may sign.
func (s signers) String() string {
	var names []string
	for _, k := range s.keys {
		names = append(names, "key "+k.File)
	}
	for _, i := range s.identities {
		subject := i.spec.Subject
		if subject == "" {
			subject = i.spec.SubjectPattern
		}
		names = append(names, fmt.Sprintf("%q of issuer %q", subject, i.spec.Issuer))
	}
	return strings.Join(names, ", ")
}
