// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/urfave/cli/v2"
)

func psCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "ps",
		Usage: "list running instances, and where record and kernel differ",
		Flags: []cli.Flag{bpffsFlag(), outputFlag()},
		Action: withManager(term, func(s *session, manager *bpf.Manager) error {
			list, err := manager.List(s.c.Context)
			if err != nil {
				return err
			}
			if list == nil {
				list = []bpf.Status{} // "[]" in JSON, not "null"
			}
			return s.print(list, func() error { return showInstances(term, list) })
		}),
	}
}

func showInstances(term *terminal, list []bpf.Status) error {
	var rows [][]string
	for _, st := range list {
		rows = append(rows, []string{st.Name, st.Reference, shortDigest(st.Digest), signedBy(st), hooksText(st), sinceText(st.Started), state(st)})
	}
	if err := term.table([]string{"NAME", "IMAGE", "DIGEST", "SIGNER", "HOOKS", "SINCE", "STATE"}, rows); err != nil {
		return err
	}
	for _, st := range list {
		for _, p := range st.Problems {
			term.notice("problem: %s: %s", st.Name, p)
		}
	}
	return nil
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
		if s.KeyFile != "" {
			names = append(names, s.KeyFile)
		} else {
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
	hex := strings.TrimPrefix(d, "sha256:")
	return hex[:min(12, len(hex))]
}

func sinceText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}
