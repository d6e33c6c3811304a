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
	// Reason says why it was refused, or with Unread why it could not be read, so
	// that it may be anything.
	Reason string `json:"reason,omitempty"`
	Unread bool   `json:"unread,omitempty"`
}

// accept notes who made the candidate.
func (a *Attempt) accept(s schemas.Signer) {
	a.Accepted, a.Key, a.KeyFile = true, s.KeyID, s.KeyFile
	a.Identity, a.Issuer, a.SignedAt, a.Logged = s.Subject, s.Issuer, s.SignedAt, s.Logged
}

// NotTrustedError is the refusal of an image: what was tried and found. It
// wraps [ErrNotTrusted] or, when something may be there that could not be read,
// [ErrUndecided].
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
	// Seen says what was looked at.
	Seen Seen
	// shown: whoever has signed is known, and it is something else that is missing.
	shown bool
	// causes are errors of candidates that could not be read.
	causes []error
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

// Undecided says that the image is refused for want of what could not be read.
func (e *NotTrustedError) Undecided() bool { return e.Err == nil && !e.shown && e.Seen.open() }

// Unwrap is [ErrNotTrusted] and, when there is one, Err; or [ErrUndecided] and why
// something could not be read.
func (e *NotTrustedError) Unwrap() []error {
	switch {
	case e.Err != nil:
		return []error{ErrNotTrusted, e.Err}
	case e.Undecided():
		return append([]error{ErrUndecided}, e.causes...)
	}
	return []error{ErrNotTrusted}
}

// Error is one sentence of bounded length.
func (e *NotTrustedError) Error() string {
	said := e.reason()
	if more := e.Seen.text(e.Reference + "@" + e.Digest); more != "" && e.Err == nil && !e.shown {
		said += "; " + more
	}
	verdict := "is not trusted"
	if e.Undecided() {
		verdict = ErrUndecided.Error()
	}
	return fmt.Sprintf("%s@%s %s%s", e.Reference, e.Digest, verdict, said)
}

// reason is what follows on the verdict.
func (e *NotTrustedError) reason() string {
	switch {
	case e.Err != nil:
		return ": " + clip(joined.Text(e.Err))
	case len(e.Attempts) == 0 && len(e.Signers) == 0 && e.Undecided():
		return ": no signature is here"
	case len(e.Attempts) == 0 && len(e.Signers) == 0: // there are signers and no attempts when they were remembered
		return ": it has no signature: sign it with `bpfimg sign`"
	}
	missing := clip(strings.Join(e.Missing[:min(len(e.Missing), maxListed)], "; "))
	tried, late := refused(e.Attempts), unread(e.Attempts)
	switch {
	case tried == "":
		return fmt.Sprintf(" by %s: %s%s", e.Rule, missing, late)
	case len(e.Signers) == 0 && len(e.Missing) <= 1:
		return fmt.Sprintf(": no valid signature among %s%s", tried, late)
	}
	return fmt.Sprintf(" by %s: %s; refused among %s%s", e.Rule, missing, tried, late)
}

// refused says how many candidates there were, and of the first that failed why.
func refused(attempts []Attempt) string {
	said := reasons(attempts, func(a Attempt) bool { return !a.Accepted && !a.Unread })
	if said == "" {
		return ""
	}
	return fmt.Sprintf("%s: %s", count(len(attempts), "1 candidate", "%d candidates"), said)
}

// unread says, to be added to a sentence, of the first candidates that could not be
// read why.
func unread(attempts []Attempt) string {
	said := reasons(attempts, func(a Attempt) bool { return a.Unread })
	if said == "" {
		return ""
	}
	return "; not everything could be read: " + said
}

// reasons are those of the first attempts that are meant.
func reasons(attempts []Attempt, meant func(Attempt) bool) string {
	said, failed := make([]string, 0, maxListed+1), 0
	for _, a := range attempts {
		if !meant(a) {
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
	if failed > maxListed {
		said = append(said, fmt.Sprintf("and %d more", failed-maxListed))
	}
	return strings.Join(said, "; ")
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
	// Seen says what was looked at; absent where nothing was.
	Seen *Seen `json:"seen,omitempty"`
	// Undecided says that it may be trusted all the same: something could not be
	// read.
	Undecided bool     `json:"undecided,omitempty"`
	Warnings  []string `json:"warnings,omitempty"`
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
			r.Seen, r.Undecided = refused.Seen.orNil(), refused.Undecided()
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
	r.Seen = v.seen.orNil()
	return r
}
