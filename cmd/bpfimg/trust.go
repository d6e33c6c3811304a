// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
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
}

// newJudge reads --key, --policy and --insecure-skip-verify. Exactly one must be
// given; none is a refusal to trust, not a wrong usage.
func (s *session) newJudge(ref image.Reference) (*judge, error) {
	key, policy := s.c.String("key"), s.c.String("policy")
	insecure := s.c.Bool("insecure-skip-verify")
	switch {
	case key != "" && policy != "":
		return nil, usagef("give --key or --policy (BPFIMG_POLICY), not both: which of them decides would be a guess")
	case insecure && (key != "" || policy != ""):
		return nil, usagef("--insecure-skip-verify contradicts --key and --policy (BPFIMG_POLICY)")
	case insecure:
		return &judge{s: s}, nil
	case key != "":
		k, err := verify.LoadKeyFile(key)
		if err != nil {
			return nil, err
		}
		return &judge{s: s, trust: verify.Keys{k}}, nil
	case policy != "":
		p, err := verify.LoadPolicy(policy)
		if err != nil {
			return nil, err
		}
		return &judge{s: s, trust: p}, nil
	}
	return nil, fmt.Errorf("%s: %w: nothing says whom to trust: give --key cosign.pub or --policy policy.yaml", ref, verify.ErrNotTrusted)
}

// check returns the verified image, or an error that wraps ErrNotTrusted.
func (j *judge) check(img *pull.Image) (*verify.Verified, error) {
	var (
		v   *verify.Verified
		err error
	)
	if j.trust == nil {
		v, err = verify.Skip(img, j.s.log)
	} else {
		v, err = verify.Check(j.s.c.Context, img, j.trust)
	}
	j.report, j.notes = verify.NewReport(img, v, err), img.Notes
	if err != nil {
		return nil, err
	}
	for _, w := range v.Warnings() {
		j.s.term.notice("warning: %s", w)
	}
	return v, nil
}
