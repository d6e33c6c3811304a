// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/urfave/cli/v2"
)

func psCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "ps",
		Usage: "list running instances, and where record and kernel differ",
		Flags: []cli.Flag{
			bpffsFlag(), outputFlag(),
			&cli.BoolFlag{Name: "check", Usage: "judge what runs by the policy as it is now, and fail if any of it is denied"}, policyFlag(),
			measureFlag(),
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "also list what others have attached to network interfaces"},
		},
		Action: withManager(term, func(s *session, manager *bpf.Manager) error {
			list, err := s.instances(manager)
			if err != nil {
				return err
			}
			if list == nil {
				list = []bpf.Status{} // "[]" in JSON, not "null"
			}
			if s.c.Bool("check") {
				return s.psCheck(manager, list)
			}
			return s.print(list, func() error { return showInstances(term, list, nil) })
		}),
	}
}

func (s *session) instances(manager *bpf.Manager) ([]bpf.Status, error) {
	d, err := s.measure()
	switch {
	case err != nil:
		return nil, err
	case s.c.Bool("all") && s.c.Bool("check"):
		return nil, usagef("ps --all --check: a policy is about images; leave one of the two out")
	case s.c.Bool("all"):
		return manager.ListAll(s.c.Context, d)
	case d > 0:
		return manager.Measure(s.c.Context, d)
	}
	return manager.List(s.c.Context)
}

// showInstances prints a table, with a column for what was checked unless checks
// is nil.
func showInstances(term *terminal, list []bpf.Status, checks []instanceCheck) error {
	header := []string{"NAME", "IMAGE", "DIGEST", "SIGNER", "HOOKS", "RUNS", "AVERAGE", "SINCE", "STATE"}
	if checks != nil {
		header = append(header, "CHECK")
	}
	var rows [][]string
	for i, st := range list {
		count, average := allRunsText(st)
		row := []string{
			st.Name, st.Reference, shortDigest(st.Digest), signedBy(st), hooksText(st), count, average, sinceText(st.Started), state(st),
		}
		if checks != nil {
			row = append(row, checks[i].text())
		}
		rows = append(rows, row)
	}
	if err := term.table(header, rows); err != nil {
		return err
	}
	for _, st := range list {
		for _, p := range st.Problems {
			term.notice("problem: %s: %s", st.Name, p)
		}
	}
	return nil
}

// allRunsText is runsText over all programs of an instance.
func allRunsText(st bpf.Status) (count, average string) {
	var sum bpf.ProgramRuns
	for _, r := range st.Runs {
		sum.Count += r.Count
		sum.Time += r.Time
	}
	if len(st.Runs) == 0 || sum.Count == 0 && !st.Counting {
		return "-", "-" // nothing of it is counted, or nothing at all
	}
	return fmt.Sprint(sum.Count), sum.Average().String()
}

func state(st bpf.Status) string {
	if len(st.Problems) > 0 {
		return "problem"
	}
	return st.State
}

func signedBy(st bpf.Status) string {
	if st.Unverified {
		return "UNVERIFIED"
	}
	var names []string
	for _, s := range st.Signers {
		switch {
		case s.KeyFile != "":
			names = append(names, s.KeyFile)
		case s.Kind == schemas.SignerIdentity:
			names = append(names, s.Subject)
		default:
			names = append(names, s.Kind+" "+shortDigest(s.KeyID))
		}
	}
	return strings.Join(names, ",")
}

func hooksText(st bpf.Status) string {
	var hooks []string
	for _, l := range st.Links {
		hooks = append(hooks, l.Program+"="+linkText(l))
	}
	return strings.Join(hooks, " ")
}

// shortDigest keeps the first 12 hex digits, as docker does.
func shortDigest(d string) string {
	if _, hex, ok := strings.Cut(d, ":"); ok {
		d = hex
	}
	return d[:min(12, len(d))]
}

func sinceText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}
