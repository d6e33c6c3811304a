// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/schemas/document"
	"github.com/bpfimg/bpfimg/verify"
)

// Limits on a file of policy tests: bytes, and rows.
const (
	maxPolicyTest     = 1 << 20
	maxPolicyTestRows = 4096
)

// Values of policyCase.Expect.
const (
	expectTrusted = "trusted"
	expectRefused = "refused"
)

// policyCase is a row of a file of policy tests.
type policyCase struct {
	Reference string `yaml:"reference" json:"reference"`
	Expect    string `yaml:"expect" json:"expect"`
	// Reason must be in what is said of a refused image.
	Reason string `yaml:"reason" json:"expectedReason,omitempty"`
}

// policyOutcome is what became of a row.
type policyOutcome struct {
	policyCase
	Got    string `json:"got"`
	Reason string `json:"reason,omitempty"`
	OK     bool   `json:"ok"`
}

func (s *session) policyTest() error {
	if s.c.NArg() != 1 {
		return usagef("policy test: want one file with a table of references, got %d arguments", s.c.NArg())
	}
	cases, err := readPolicyCases(s.c.Args().First())
	if err != nil {
		return err
	}
	if s.c.String("policy") == "" {
		return usagef("policy test: give --policy FILE, the policy to test (BPFIMG_POLICY)")
	}
	trust, err := verify.LoadPolicy(s.c.String("policy"))
	if err != nil {
		return err
	}
	ctx, cancel := s.deadline()
	defer cancel()
	outcomes, failed := make([]policyOutcome, 0, len(cases)), 0
	for _, c := range cases {
		o, err := s.policyOutcome(ctx, c, trust)
		if err != nil {
			return err
		}
		if !o.OK {
			failed++
		}
		outcomes = append(outcomes, o)
	}
	if err := s.print(outcomes, func() error { return showOutcomes(s.term, outcomes) }); err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d rows of %s are not as expected", failed, len(cases), s.c.Args().First())
	}
	return nil
}

// readPolicyCases reads a YAML list of rows; unknown keys are an error that names
// the line.
func readPolicyCases(file string) ([]policyCase, error) {
	data, err := limited.ReadFile(file, maxPolicyTest)
	if err != nil {
		return nil, err
	}
	cases, err := parsePolicyCases(data)
	if err != nil {
		return nil, fmt.Errorf("policy tests %s: %w", file, err)
	}
	return cases, nil
}

func parsePolicyCases(data []byte) ([]policyCase, error) {
	var cases []policyCase
	if err := document.Decode(data, &cases, map[string]string{"policyCase": "reference, expect, reason"}); err != nil {
		return nil, err
	}
	if n := len(cases); n == 0 || n > maxPolicyTestRows {
		return nil, fmt.Errorf("has %d rows: want 1 to %d, each with reference and expect", n, maxPolicyTestRows)
	}
	for i, c := range cases {
		if _, err := parseReference(c.Reference); err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		switch {
		case c.Expect != expectTrusted && c.Expect != expectRefused:
			return nil, fmt.Errorf("row %d (%s): expect %q: want %s or %s", i+1, c.Reference, c.Expect, expectTrusted, expectRefused)
		case c.Expect == expectTrusted && c.Reason != "":
			return nil, fmt.Errorf("row %d (%s): what is trusted has no reason", i+1, c.Reference)
		}
	}
	return cases, nil
}

// policyOutcome judges one image. An image that cannot be fetched is neither
// trusted nor refused: that fails the command.
func (s *session) policyOutcome(ctx context.Context, c policyCase, trust verify.Trust) (policyOutcome, error) {
	o := policyOutcome{policyCase: c, Got: expectTrusted}
	ref, err := parseReference(c.Reference)
	if err != nil {
		return o, err
	}
	img, err := s.fetchImage(ctx, ref, trust)
	if err != nil {
		return o, err
	}
	_, err = verify.Check(ctx, img, trust)
	if err != nil && !errors.Is(err, verify.ErrNotTrusted) {
		return o, err
	}
	if err != nil {
		o.Got, o.Reason = expectRefused, err.Error()
	}
	o.OK = o.Got == c.Expect && strings.Contains(o.Reason, c.Reason)
	return o, nil
}

// showOutcomes prints what differs as a diff does.
func showOutcomes(term *terminal, outcomes []policyOutcome) error {
	for _, o := range outcomes {
		lines := []string{"  " + o.Reference + ": " + o.Got}
		if !o.OK {
			lines = []string{"- " + sentenceOf(o.Reference, o.Expect, o.policyCase.Reason), "+ " + sentenceOf(o.Reference, o.Got, o.Reason)}
		}
		for _, line := range lines {
			if _, err := fmt.Fprintln(term.out, safe(line)); err != nil {
				return err
			}
		}
	}
	return nil
}

func sentenceOf(reference, verdict, reason string) string {
	if reason == "" {
		return reference + ": " + verdict
	}
	return reference + ": " + verdict + ": " + reason
}
