// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"fmt"
	"strings"

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
	// Accepted says that it is a signature of the image by a trusted key, Key
	// the id of that key, KeyFile where it was read from.
	Accepted bool   `json:"accepted"`
	Key      string `json:"key,omitempty"`
	KeyFile  string `json:"keyFile,omitempty"`
	// Claims is the image name a legacy signature says it is for
	// (docker-reference). cosign does not compare it, so neither does [Check].
	Claims string `json:"claims,omitempty"`
	// Reason says why it was refused.
	Reason string `json:"reason,omitempty"`
}

// NotTrustedError is the refusal of an image: what was tried and found. It
// wraps [ErrNotTrusted].
type NotTrustedError struct {
	// Reference is registry and repository, Digest that of the image manifest.
	Reference, Digest string
	// Attempts has one entry a candidate; none when there were no signatures.
	Attempts []Attempt
	// Err is set when the image was refused before any signature was looked at:
	// bytes that do not match the digest ([image.ErrDigestMismatch]).
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
		return fmt.Sprintf("%s is not trusted: %s", name, clip(e.Err.Error()))
	case len(e.Attempts) == 0:
		return fmt.Sprintf("%s is not trusted: it has no signature: sign it with `bpfimg sign`", name)
	}
	said := make([]string, 0, maxListed+1)
	for i, a := range e.Attempts {
		if i == maxListed {
			said = append(said, fmt.Sprintf("and %d more", len(e.Attempts)-i))
			break
		}
		what := string(a.Kind)
		if a.Manifest != "" {
			what += " " + clip(a.Manifest)
		}
		said = append(said, what+": "+clip(a.Reason))
	}
	noun := "candidates"
	if len(e.Attempts) == 1 {
		noun = "candidate"
	}
	return fmt.Sprintf("%s is not trusted: no valid signature among %d %s: %s", name, len(e.Attempts), noun, strings.Join(said, "; "))
}

// clip shortens s to [maxReason] bytes.
func clip(s string) string {
	if len(s) <= maxReason {
		return s
	}
	return strings.ToValidUTF8(s[:maxReason], "") + "…"
}

// Report is the result of a verification in a form for machines
// (`bpfimg verify -o json`).
type Report struct {
	// Reference is registry and repository, Digest that of the image manifest.
	Reference string `json:"reference"`
	Digest    string `json:"digest"`
	Trusted   bool   `json:"trusted"`
	// Skipped says that nothing was verified, on purpose.
	Skipped bool `json:"skipped,omitempty"`
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
			r.Attempts = refused.Attempts
		}
		if err != nil {
			r.Reason = err.Error()
		}
		return r
	}
	r.Trusted, r.Skipped = !v.skipped, v.skipped
	r.Signers, r.Attempts, r.Warnings = v.signers, v.attempts, v.warnings
	return r
}
