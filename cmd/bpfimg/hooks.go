// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/urfave/cli/v2"
)

func hooksCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "hooks",
		Usage:     "list the hooks of --attach, their options, and what this kernel supports",
		ArgsUsage: "[HOOK]",
		Flags:     []cli.Flag{outputFlag()},
		Action:    withSession(term, (*session).hooks),
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

// hooks lists the table of package inspect, or shows one row of it with all its
// options. The kernel is asked when that is permitted; the table is of use without it.
func (s *session) hooks() error {
	hooks, err := chosenHooks(s.c.Args().Slice())
	if err != nil {
		return err
	}
	kernel, err := s.kernelSupport()
	if err != nil {
		return err
	}
	var rows []hookRow
	for _, h := range hooks {
		row := hookRow{Hook: h.Name, Programs: h.Programs, Sections: h.Sections, Target: h.Target, Delivered: h.Delivered, Kernel: kernel[h.Name]}
		for _, o := range h.Options {
			row.Options = append(row.Options, o.Name)
		}
		if h.Delivered && row.Kernel == "" {
			row.Kernel = "unknown"
		}
		rows = append(rows, row)
	}
	return s.print(rows, func() error {
		if s.c.NArg() == 1 {
			return showHook(s.term, hooks[0], rows[0].Kernel)
		}
		return showHooks(s.term, rows)
	})
}

// chosenHooks are all hooks, or the one that is named.
func chosenHooks(names []string) ([]inspect.HookInfo, error) {
	all := inspect.Hooks()
	if len(names) == 0 {
		return all, nil
	}
	if len(names) > 1 {
		return nil, usagef("hooks: want one HOOK or none, got %d arguments", len(names))
	}
	var known []string
	for _, h := range all {
		if h.Name == names[0] {
			return []inspect.HookInfo{h}, nil
		}
		known = append(known, h.Name)
	}
	if likely, ok := nearest(names[0], known); ok {
		return nil, usagef("no hook %q: did you mean %s?", names[0], likely)
	}
	return nil, usagef("no hook %q: `bpfimg hooks` lists them", names[0])
}

// kernelSupport says of each hook that was tried "works", or why not.
func (s *session) kernelSupport() (map[string]string, error) {
	support, err := bpf.Support()
	if err != nil {
		var permission *bpf.PermissionError
		if !errors.As(err, &permission) && !errors.Is(err, bpf.ErrNeedsLinux) {
			return nil, err
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
	return kernel, nil
}

// showHook writes all there is to know of one hook, for a terminal.
func showHook(term *terminal, h inspect.HookInfo, kernel string) error {
	p := &page{}
	for _, row := range [][2]string{
		{"hook", h.Name},
		{"program types", strings.Join(h.Programs, ", ")},
		{"sections", strings.Join(h.Sections, ", ")},
		{"target", h.Target},
		{"since Linux", h.Since},
		{"this kernel", kernel},
	} {
		if row[1] != "" {
			p.item(row[0], row[1])
		}
	}
	if !h.Delivered {
		p.item("note", "this version of bpfimg does not attach to it")
	}
	if len(h.Options) > 0 {
		p.heading("Options")
	}
	for _, o := range h.Options {
		text := o.Help
		if o.Default != "" {
			text += " (default: " + o.Default + ")"
		}
		p.item(strings.TrimSuffix(o.Name+"="+strings.Join(o.Values, "|"), "="), text)
	}
	_, err := fmt.Fprint(term.out, p.String())
	return err
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
