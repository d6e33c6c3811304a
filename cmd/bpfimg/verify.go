// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/urfave/cli/v2"
)

func verifyCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "check that someone you trust signed an image",
		ArgsUsage: "REFERENCE",
		Flags: trustFlags(pullFlag(pullAlways),
			platformFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag()),
		Action: withImage(term, (*session).verify),
	}
}

func (s *session) verify(ref image.Reference) error {
	j, err := s.newJudge(ref)
	if err != nil {
		return err
	}
	j.fresh = true
	ctx, cancel := s.deadline()
	defer cancel()
	f, err := s.fetch(ctx, ref, j)
	if s.json && j.report.Digest != "" {
		// A refusal is an answer too.
		return joined.Errors(s.term.json(j.report), err)
	}
	if err != nil {
		return joined.Errors(s.term.attempts(j.report), err)
	}
	v := f.verified
	fmt.Fprintf(s.term.out, "%s@%s: verified\n", safe(ref.Name()), v.Digest())
	for _, signer := range v.Signers() {
		fmt.Fprintln(s.term.out, "  signed by", safe(signerText(signer)))
	}
	if len(j.report.Attempts) == len(v.Signers()) {
		return nil // nothing else was looked at
	}
	return s.term.attempts(j.report)
}

// attempts shows what was tried, each candidate in a row.
func (t *terminal) attempts(r verify.Report) error {
	if len(r.Attempts) == 0 {
		return nil
	}
	rows := make([][]string, 0, len(r.Attempts))
	for _, a := range r.Attempts {
		what, result, why := "signature", "refused", a.Reason
		switch {
		case a.Predicate != "":
			what = a.Predicate
		case a.Kind == pull.KindLegacyAttestation:
			what = "attestation"
		}
		if a.Accepted {
			result, why = "accepted", a.Identity
			if a.Key != "" {
				why = "key " + shortDigest(a.Key)
			}
		}
		rows = append(rows, []string{string(a.Kind) + " " + shortDigest(a.Manifest), what, result, why})
	}
	return t.table([]string{"CANDIDATE", "SAYS", "RESULT", "WHY"}, rows)
}

// signerWords are what there is of kind, id and where it is from.
func signerWords(s schemas.Signer) []string {
	var words []string
	for _, w := range []string{s.Kind, s.KeyID, s.KeyFile, s.Subject, s.Issuer} {
		if w != "" {
			words = append(words, w)
		}
	}
	return words
}

// signerText names a signer in one line.
func signerText(s schemas.Signer) string {
	text := s.Kind + " " + s.KeyID
	if s.Kind == schemas.SignerIdentity {
		text = fmt.Sprintf("%s %s (issuer %s)", s.Kind, s.Subject, s.Issuer)
	}
	if s.KeyFile != "" {
		text += " (" + s.KeyFile + ")"
	}
	text += ", " + s.Format
	if s.SignedAt != nil {
		text += ", at " + s.SignedAt.Format(time.RFC3339)
	}
	if s.Logged {
		text += ", logged"
	}
	return text
}
