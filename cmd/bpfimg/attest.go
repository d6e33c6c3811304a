// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/urfave/cli/v2"
)

func attestCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "attest",
		Usage:     "attach a signed statement to an image in its registry",
		ArgsUsage: "REFERENCE",
		Flags: append(
			signerFlags(),
			&cli.StringFlag{Name: "type", Usage: "what the predicate is: " + strings.Join(schemas.PredicateTypes(), ", ") + " or a URI"},
			&cli.StringFlag{Name: "predicate", Usage: "JSON file with what is said of the image, or - for standard input"},
			outputFlag(), plainHTTPFlag(), timeoutFlag(),
		),
		Action: withImage(term, func(s *session, ref image.Reference) error {
			kind, path := s.c.String("type"), s.c.String("predicate")
			if kind == "" || path == "" {
				return usagef("attest: want --type and --predicate, such as --type slsaprovenance1 --predicate provenance.json")
			}
			if _, err := sign.PredicateType(kind); err != nil {
				return usageError{err}
			}
			body, err := term.fileText(s.c.Context, path, sign.MaxPredicate)
			if err != nil {
				return fmt.Errorf("reading the predicate: %w", err)
			}
			predicate, err := sign.NewPredicate(kind, body)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			ctx, cancel := s.deadline()
			defer cancel()
			w, err := s.newSigning(ctx)
			if err != nil {
				return err
			}
			r, err := w.attest(ctx, ref, predicate)
			if err != nil {
				return err
			}
			done := imageResult{Reference: ref.String(), Digest: r.Subject.Digest.String(), Signature: r.Signature.Digest.String()}
			return s.printLine(done, attachedName(w.registry, ref)+"@"+done.Signature)
		}),
	}
}

// attest attaches predicate to ref's digest.
func (w *signing) attest(ctx context.Context, ref image.Reference, predicate sign.Predicate) (sign.Result, error) {
	result, err := sign.Attest(ctx, w.registry, ref, w.signer, predicate, w.opts)
	if err != nil {
		return result, fmt.Errorf("attesting %s: %w", ref, err)
	}
	w.s.term.notice("attested %s of %s@%s", predicate.Type, ref.Name(), result.Subject.Digest)
	w.keep(ctx, ref, result)
	return result, nil
}
