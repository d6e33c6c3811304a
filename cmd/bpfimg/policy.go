// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/urfave/cli/v2"
)

func policyCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "policy",
		Usage: "look at trust policies: is this one right, and what does it say of an image",
		Subcommands: []*cli.Command{
			{
				Name: "check", Usage: "read a policy and all files it names, and warn of what may not be meant", ArgsUsage: "FILE",
				Flags:  []cli.Flag{&cli.BoolFlag{Name: "strict", Usage: "fail on warnings too"}, outputFlag()},
				Action: withSession(term, (*session).policyCheck),
			},
			{
				Name: "explain", Usage: "say which rule decides on an image, and which of its clauses are met", ArgsUsage: "REFERENCE",
				Flags:  trustFlags(pullFlag(pullMissing), platformFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag()),
				Action: withImage(term, (*session).policyExplain),
			},
			{
				Name: "test", Usage: "compare what a policy says of images with a table of what it should say", ArgsUsage: "FILE",
				Flags:  []cli.Flag{policyFlag(), pullFlag(pullMissing), platformFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag()},
				Action: withSession(term, (*session).policyTest),
			},
			{
				Name: "default", Usage: "print the policy to begin with, which trusts nobody and says how to trust somebody",
				Action: func(c *cli.Context) error {
					_, err := fmt.Fprint(term.out, verify.DefaultPolicy())
					return err
				},
			},
		},
	}
}

// policyChecked is what `bpfimg policy check` prints.
type policyChecked struct {
	Policy      string   `json:"policy"`
	Fingerprint string   `json:"fingerprint"`
	Rules       int      `json:"rules"`
	Warnings    []string `json:"warnings"`
}

func (s *session) policyCheck() error {
	if s.c.NArg() != 1 {
		return usagef("policy check: want one policy file, got %d arguments", s.c.NArg())
	}
	p, err := verify.LoadPolicy(s.c.Args().First())
	if err != nil {
		return err
	}
	checked := policyChecked{Policy: p.Name(), Fingerprint: p.Fingerprint(), Rules: p.Rules(), Warnings: p.Lint(time.Now())}
	err = s.print(checked, func() error {
		for _, w := range checked.Warnings {
			if _, err := fmt.Fprintln(s.term.out, "warning:", safe(w)); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(s.term.out, "%s: rules: %d, warnings: %d\n", safe(checked.Policy), checked.Rules, len(checked.Warnings))
		return err
	})
	if err == nil && s.c.Bool("strict") && len(checked.Warnings) > 0 {
		err = fmt.Errorf("policy %s has warnings, and --strict was given", checked.Policy)
	}
	return err
}

func (s *session) policyExplain(ref image.Reference) error {
	j, err := s.newJudge(ref)
	if err != nil {
		return err
	}
	ctx, cancel := s.deadline()
	defer cancel()
	img, err := s.fetchImage(ctx, ref, j.trust)
	if err != nil {
		return err
	}
	e, err := verify.Explain(ctx, img, j.trust, verify.Options{})
	if err != nil {
		return err
	}
	if err := s.print(e, func() error { return showExplanation(s.term, e) }); err != nil {
		return err
	}
	if e.Trusted {
		return nil
	}
	verdict := verify.ErrNotTrusted
	if e.Undecided {
		verdict = verify.ErrUndecided
	}
	return fmt.Errorf("%s@%s: %w: %s", e.Reference, e.Digest, verdict, e.Reasons()[0])
}

// fetchImage gets the image that [session.fetch] would, from the store or the
// registry, whether it is trusted or not: with "missing", a stored copy counts where
// it is trusted, or the registry has no answer.
func (s *session) fetchImage(ctx context.Context, ref image.Reference, trust verify.Trust) (*pull.Image, error) {
	mode, err := oneOf(s.c, "pull", pullAlways, pullMissing, pullNever)
	if err != nil {
		return nil, err
	}
	store, err := s.store()
	if err != nil {
		return nil, err
	}
	opts := pull.Options{Platform: s.c.String("platform"), OnDemand: true}
	var local *pull.Image
	if mode != pullAlways {
		if local, err = pull.Fetch(ctx, store, ref, opts); err == nil {
			_, err = verify.Check(ctx, local, trust)
		}
		switch {
		case err == nil, local != nil && (mode == pullNever || !worthPulling(err)):
			return local, nil
		case mode == pullNever || !worthPulling(err):
			return nil, fmt.Errorf("local store: %w", err)
		}
	}
	cached, err := s.cached(store)
	if err != nil {
		return nil, err
	}
	img, err := pull.Fetch(ctx, cached, ref, opts)
	switch {
	case err == nil:
		return img, nil
	case local != nil && ctx.Err() == nil:
		s.term.notice("warning: this is about the copy in the local store: pulling %s: %v", ref, err)
		return local, nil
	}
	return nil, fmt.Errorf("pulling %s: %w", ref, err)
}

func showExplanation(term *terminal, e verify.Explanation) error {
	verdict := "not trusted"
	switch {
	case e.Trusted:
		verdict = "trusted"
	case e.Undecided:
		verdict = "cannot be decided"
	}
	if _, err := fmt.Fprintf(term.out, "%s@%s: %s\n", safe(e.Reference), e.Digest, verdict); err != nil {
		return err
	}
	rows := make([][]string, 0, len(e.Clauses))
	for _, c := range e.Clauses {
		met := "no"
		if c.Met {
			met = "yes"
		}
		rows = append(rows, []string{c.Clause, c.Want, met, c.Found})
	}
	if err := term.table([]string{"CLAUSE", "WANTED", "MET", "FOUND"}, rows); err != nil {
		return err
	}
	return term.attempts(verify.Report{Attempts: e.Attempts})
}
