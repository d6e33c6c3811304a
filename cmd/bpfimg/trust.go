// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/urfave/cli/v2"
)

func insecureFlag() cli.Flag {
	return &cli.BoolFlag{Name: "insecure-skip-verify", Usage: "load code that nobody vouches for; the only way around verification"}
}

// judge decides on fetched images as the flags say: by key, by policy, or not
// at all.
type judge struct {
	trust verify.Trust // nil: verification is skipped on purpose
	s     *session
	// report says how the last check went, notes what of that image is not used.
	report verify.Report
	notes  []string
	// fresh has signatures verified that were verified before, and all that there
	// are: it is the report that is wanted.
	fresh bool
}

// newJudge reads the flags that say whom to trust, and --insecure-skip-verify.
// Exactly one way must be chosen; none is a refusal to trust, not a wrong usage.
func (s *session) newJudge(ref image.Reference) (*judge, error) {
	key, policy := s.c.String("key"), s.c.String("policy")
	identity, insecure := s.identityGiven(), s.c.Bool("insecure-skip-verify")
	switch {
	case insecure && (key != "" || policy != "" || identity):
		return nil, usagef("--insecure-skip-verify contradicts --key, --certificate-identity and --policy (BPFIMG_POLICY)")
	case key != "" && policy != "":
		return nil, usagef("give --key or --policy (BPFIMG_POLICY), not both: which of them decides would be a guess")
	case identity && (key != "" || policy != ""):
		return nil, usagef("give --certificate-identity, --key or --policy (BPFIMG_POLICY), only one: which of them decides would be a guess")
	case insecure:
		return &judge{s: s}, nil
	case key == "" && policy == "" && !identity:
		return nil, fmt.Errorf("%s: %w: nothing says whom to trust: give --key cosign.pub or --policy policy.yaml", ref, verify.ErrNotTrusted)
	}
	trust, err := s.trust(key, policy)
	if err != nil {
		return nil, err
	}
	return &judge{s: s, trust: trust}, nil
}

// trustGiven says whether anything was said about whom to trust.
func (s *session) trustGiven() bool {
	return s.c.String("key") != "" || s.c.String("policy") != "" || s.identityGiven()
}

// trust loads the one of key, policy and the identity flags that is given.
func (s *session) trust(key, policy string) (verify.Trust, error) {
	switch {
	case key != "":
		k, err := s.term.publicKey(key)
		if err != nil {
			return nil, err
		}
		return verify.Keys{k}, nil
	case policy != "":
		p, err := verify.LoadPolicy(policy)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	return s.identityTrust()
}

// check returns the verified image, or an error that wraps ErrNotTrusted.
func (j *judge) check(ctx context.Context, img *pull.Image) (*verify.Verified, error) {
	var (
		v   *verify.Verified
		err error
	)
	if j.trust == nil {
		v, err = verify.Skip(img, j.s.log)
	} else {
		v, err = verify.CheckWith(ctx, img, j.trust, verify.Options{Verdicts: j.s.verdicts(), Fresh: j.fresh, All: j.fresh, Log: j.s.log})
	}
	j.report, j.notes = verify.NewReport(img, v, err), img.Notes
	if err != nil {
		return nil, err
	}
	if n := v.Seen().NotNeeded; n > 0 {
		j.s.log.Debug("the rule is met: the search for signatures has ended", "reference", img.Reference.String(), "not looked at", n)
	}
	for _, w := range v.Warnings() {
		j.s.term.notice("warning: %s", w)
	}
	return v, nil
}
