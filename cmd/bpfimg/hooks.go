// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"strings"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/urfave/cli/v2"
)

func hooksCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:   "hooks",
		Usage:  "list the hooks of --attach, their options, and what this kernel supports",
		Flags:  []cli.Flag{outputFlag()},
		Action: withSession(term, (*session).hooks),
	}
}

// hookRow is one hook in `hooks -o json`.
type hookRow struct {
	Hook     string   `json:"hook"`
	Programs []string `json:"programs"`
	Sections []string `json:"sections"`
	Target   string   `json:"target,omitempty"`
	Options  []string `json:"options,omitempty"`
	// Delivered says that this version of bpfimg attaches to it.
	Delivered bool `json:"delivered"`
	// Kernel is "works", why not, or "unknown" where it could not be asked.
	Kernel string `json:"kernel,omitempty"`
}

// hooks lists the table of package inspect. The kernel is asked when that is
// permitted; the table is of use without it.
func (s *session) hooks() error {
	support, err := bpf.Support()
	if err != nil {
		var permission *bpf.PermissionError
		if !errors.As(err, &permission) && !errors.Is(err, bpf.ErrNeedsLinux) {
			return err
		}
		s.term.notice("what this kernel supports is not known: %v", err)
	}
	kernel := map[string]string{}
	for _, h := range support {
		switch {
		case h.Known && h.Err == nil:
			kernel[h.Hook] = "works"
		case h.Known:
			kernel[h.Hook] = h.Err.Error()
		}
	}
	var rows []hookRow
	for _, h := range inspect.Hooks() {
		row := hookRow{Hook: h.Name, Programs: h.Programs, Sections: h.Sections, Target: h.Target, Delivered: h.Delivered, Kernel: kernel[h.Name]}
		for _, o := range h.Options {
			row.Options = append(row.Options, o.Name)
		}
		if h.Delivered && row.Kernel == "" {
			row.Kernel = "unknown"
		}
		rows = append(rows, row)
	}
	return s.print(rows, func() error { return showHooks(s.term, rows) })
}

func showHooks(term *terminal, rows []hookRow) error {
	var cells [][]string
	for _, r := range rows {
		if !r.Delivered {
			continue // `inspect` names them, nothing can be done with them yet
		}
		cells = append(cells, []string{
			r.Hook, strings.Join(r.Programs, " "), strings.Join(r.Sections, " "), r.Target, strings.Join(r.Options, " "), r.Kernel,
		})
	}
	return term.table([]string{"HOOK", "PROGRAM TYPE", "SECTIONS", "TARGET", "OPTIONS", "THIS KERNEL"}, cells)
}
