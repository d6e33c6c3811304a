// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/urfave/cli/v2"
)

// errUnhealthy: the doctor has found what is not mended.
var errUnhealthy = errors.New("not all is well")

func doctorCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "find what killed commands, other tools and restarts have left, and mend it",
		Flags: []cli.Flag{
			bpffsFlag(), outputFlag(),
			&cli.BoolFlag{Name: "fix", Usage: "mend what can be mended without taking away what works"},
		},
		Action: withManager(term, (*session).doctor),
	}
}

func (s *session) doctor(manager *bpf.Manager) error {
	look := manager.Examine
	if s.c.Bool("fix") {
		look = manager.Repair
	}
	findings, err := look(s.c.Context)
	if err != nil {
		return err
	}
	if findings == nil {
		findings = []bpf.Finding{}
	}
	if err := s.print(findings, func() error { return showFindings(s.term, findings) }); err != nil {
		return err
	}
	open, fixable := 0, 0
	for _, f := range findings {
		if f.Note || f.Fixed {
			continue
		}
		open++
		if f.Fixable && f.Error == "" {
			fixable++
		}
	}
	switch {
	case open == 0:
		return nil
	case fixable > 0:
		return fmt.Errorf("%w: %d problems, %d of them can be mended: `bpfimg doctor --fix`", errUnhealthy, open, fixable)
	}
	return fmt.Errorf("%w: %d problems are left to you", errUnhealthy, open)
}

func showFindings(term *terminal, findings []bpf.Finding) error {
	var lines []string
	problems := 0
	for _, f := range findings {
		what, then := "problem", "remedy: "+f.Remedy
		switch {
		case f.Note:
			what = "note"
		case f.Fixed:
			what, then = "mended", "done: "+f.Remedy
		case f.Error != "":
			then = "could not " + f.Remedy + ": " + f.Error
		}
		if !f.Note {
			problems++
		}
		if f.Instance != "" {
			what += ": " + f.Instance
		}
		lines = append(lines, what+": "+f.Problem, "  "+then)
	}
	if problems == 0 {
		lines = append(lines, "no problems found")
	}
	for _, line := range lines {
		if _, err := fmt.Fprintln(term.out, safe(line)); err != nil {
			return err
		}
	}
	return nil
}
