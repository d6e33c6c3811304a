// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/urfave/cli/v2"
)

func verifyCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "check that someone you trust signed an image",
		ArgsUsage: "REFERENCE",
		Flags: []cli.Flag{
			keyFlag("public key that must have signed the image"), policyFlag(), pullFlag(pullAlways),
			platformFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag(),
		},
		Action: withImage(term, (*session).verify),
	}
}

func (s *session) verify(ref image.Reference) error {
	j, err := s.newJudge(ref)
	if err != nil {
		return err
	}
	ctx, cancel := s.deadline()
	defer cancel()
	f, err := s.fetch(ctx, ref, j)
	if s.json && j.report.Digest != "" {
		// A refusal is an answer too.
		return errors.Join(s.term.json(j.report), err)
	}
	if err != nil {
		return err
	}
	v := f.verified
	fmt.Fprintf(s.term.out, "%s@%s: verified\n", safe(ref.Name()), v.Digest())
	for _, signer := range v.Signers() {
		fmt.Fprintln(s.term.out, "  signed by", safe(signerText(signer)))
	}
	return nil
}

// signerText names a signer in one line.
func signerText(s schemas.Signer) string {
	text := s.Kind + " " + s.KeyID
	if s.KeyFile != "" {
		text += " (" + s.KeyFile + ")"
	}
	return text + ", " + s.Format
}
