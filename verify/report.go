// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/internal/excerpt"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
)

// Attempt says what became of one candidate.
type Attempt struct {
	// Kind is the form it was found in, Manifest the digest of the manifest it
	// came in and Subject the digest that one says it belongs to.
	Kind     pull.CandidateKind `json:"kind"`
	Manifest string             `json:"manifest"`
	Subject  string             `json:"subject,omitempty"`
	// Accepted says that it is a signature of the image by a trusted key or
	// identity or, when Predicate has the predicate type of an attestation, one that
	// the rule demands. Key is the id of that key, KeyFile where it was read from;
	// Identity the subject of a certificate and Issuer who vouched for it.
	Accepted  bool   `json:"accepted"`
	Predicate string `json:"predicate,omitempty"`
	Key       string `json:"key,omitempty"`
	KeyFile   string `json:"keyFile,omitempty"`
	Identity  string `json:"identity,omitempty"`
	Issuer    string `json:"issuer,omitempty"`
	// SignedAt is the earliest proven time of signing, Logged that an entry of a
	// transparency log was verified. Both are looked at only where a rule asks.
	SignedAt *time.Time `json:"signedAt,omitempty"`
	Logged   bool       `json:"logged,omitempty"`
	// Claims is the image name a legacy signature says it is for
	// (docker-reference). cosign does not compare it, so neither does [Check].
	Claims string `json:"claims,omitempty"`
	// Reason says why it was refused.
	Reason string `json:"reason,omitempty"`
}

// accept notes who made the candidate.
func (a *Attempt) accept(s schemas.Signer) {
	a.Accepted, a.Key, a.KeyFile = true, s.KeyID, s.KeyFile
	a.Identity, a.Issuer, a.SignedAt, a.Logged = s.Subject, s.Issuer, s.SignedAt, s.Logged
}

// NotTrustedError is the refusal of an image: what was tried and found. It
// wraps [ErrNotTrusted].
type NotTrustedError struct {
	// Reference is registry and repository, Digest that of the image manifest.
	Reference, Digest string
	// Attempts has one entry a candidate; none when there were no signatures.
	Attempts []Attempt
	// Rule names what was asked, Missing says what of it was not shown, and
	// Signers who has signed all the same.
	Rule    string
	Missing []string
	Signers []schemas.Signer
	// Err is set when the image was refused before any signature was looked at:
	// bytes that do not match the digest ([image.ErrDigestMismatch]), or what a
	// policy denies.
	Err error
}

// Limits on the sentence a [NotTrustedError] makes, which holds foreign text.
const (
	maxListed = 4
	maxReason = 240 // bytes
)

// Unwrap is [ErrNotTrusted] and, when there is one, Err.
func (e *NotTrustedError) Unwrap() []error {
	if e.Err == nil {
		return []error{ErrNotTrusted}
	}
	return []error{ErrNotTrusted, e.Err}
}

// Error is one sentence of bounded length.
func (e *NotTrustedError) Error() string {
	name := e.Reference + "@" + e.Digest
	switch {
	case e.Err != nil:
		return fmt.Sprintf("%s is not trusted: %s", name, clip(joined.Text(e.Err)))
	case len(e.Attempts) == 0 && len(e.Signers) == 0: // there are signers and no attempts when they were remembered
		return fmt.Sprintf("%s is not trusted: it has no signature: sign it with `bpfimg sign`", name)
	}
	missing := strings.Join(e.Missing[:min(len(e.Missing), maxListed)], "; ")
	tried := refused(e.Attempts)
	switch {
	case tried == "":
		return fmt.Sprintf("%s is not trusted by %s: %s", name, e.Rule, clip(missing))
	case len(e.Signers) == 0 && len(e.Missing) <= 1:
		return fmt.Sprintf("%s is not trusted: no valid signature among %s", name, tried)
	}
	return fmt.Sprintf("%s is not trusted by %s: %s; refused among %s", name, e.Rule, clip(missing), tried)
}

// refused says how many candidates there were, and of the first that failed why.
func refused(attempts []Attempt) string {
	said, failed := make([]string, 0, maxListed+1), 0
	for _, a := range attempts {
		if a.Accepted {
			continue
		}
		if failed++; failed > maxListed {
			continue
		}
		what := string(a.Kind)
		if a.Manifest != "" {
			what += " " + clip(a.Manifest)
		}
		said = append(said, what+": "+clip(a.Reason))
	}
	if failed == 0 {
		return ""
	}
	if failed > maxListed {
		said = append(said, fmt.Sprintf("and %d more", failed-maxListed))
	}
	noun := "candidates"
	if len(attempts) == 1 {
		noun = "candidate"
	}
	return fmt.Sprintf("%d %s: %s", len(attempts), noun, strings.Join(said, "; "))
}

// clip shortens s to [maxReason] bytes.
func clip(s string) string { return excerpt.Of(s, maxReason) }

// Report is the result of a verification in a form for machines
// (`bpfimg verify -o json`).
type Report struct {
	// Reference is registry and repository, Digest that of the image manifest.
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	Trusted   bool   `json:"trusted"`
	// Skipped says that nothing was verified, on purpose.
	Skipped bool `json:"skipped,omitempty"`
	// Remembered is when the signatures were verified, if not just now.
	Remembered *time.Time `json:"remembered,omitempty"`
	// Rule names what was asked, Missing what of it was not shown.
	Rule    string   `json:"rule,omitempty"`
	Missing []string `json:"missing,omitempty"`
	// Signers were proven; Attempts has every candidate looked at.
	Signers  []schemas.Signer `json:"signers,omitempty"`
	Attempts []Attempt        `json:"attempts,omitempty"`
	Warnings []string         `json:"warnings,omitempty"`
	// Reason is the sentence of the error when not trusted.
	Reason string `json:"reason,omitempty"`
}

// NewReport describes the outcome of [Check] on img: v and err as it returned
// them.
func NewReport(img *pull.Image, v *Verified, err error) Report {
	r := Report{Reference: img.Reference.Name(), Digest: img.Manifest.Descriptor.Digest.String()}
	if err != nil || v == nil {
		var refused *NotTrustedError
		if errors.As(err, &refused) {
			r.Rule, r.Missing = refused.Rule, refused.Missing
			r.Signers, r.Attempts = refused.Signers, refused.Attempts
		}
		if err != nil {
			r.Reason = joined.Text(err)
		}
		return r
	}
	r.Trusted, r.Skipped, r.Remembered = !v.skipped, v.skipped, v.decided
	if !v.skipped {
		r.Rule = v.rule.String()
	}
	r.Signers, r.Attempts, r.Warnings = v.signers, v.attempts, v.warnings
	return r
}
