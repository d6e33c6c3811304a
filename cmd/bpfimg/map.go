// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/urfave/cli/v2"
)

func mapCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "map",
		Usage: "look into the maps of a running instance",
		Subcommands: []*cli.Command{
			{
				Name: "dump", Usage: "print keys and values, formatted through BTF",
				ArgsUsage: "INSTANCE MAP",
				Flags: []cli.Flag{
					bpffsFlag(), outputFlag(),
					&cli.IntFlag{Name: "limit", Value: 10000, Usage: "read at most this many entries"},
					&cli.BoolFlag{Name: "watch", Aliases: []string{"w"}, Usage: "print again and again until Ctrl-C"},
					&cli.DurationFlag{Name: "interval", Value: time.Second, Usage: "pause between two prints of --watch"},
				},
				Action: withManager(term, (*session).dumpMap),
			},
			{
				Name: "ls", Usage: "list the maps of an instance",
				ArgsUsage: "INSTANCE",
				Flags:     []cli.Flag{bpffsFlag(), outputFlag()},
				Action:    withManager(term, (*session).listMaps),
			},
		},
	}
}

func (s *session) dumpMap(manager *bpf.Manager) error {
	args, limit := s.c.Args(), s.c.Int("limit")
	if args.Len() != 2 {
		return usagef("map dump: want INSTANCE and MAP, got %d arguments; `bpfimg map ls INSTANCE` lists them", args.Len())
	}
	if limit <= 0 {
		return usagef("--limit %d: want a number above 0", limit)
	}
	show := func() error {
		dump, err := manager.DumpMap(s.c.Context, args.Get(0), args.Get(1), limit)
		if err != nil {
			return err
		}
		return s.print(dump, func() error { return showDump(s.term, dump) })
	}
	if !s.c.Bool("watch") {
		return show()
	}
	return watch(s.c.Context, s.c.Duration("interval"), func() error {
		s.term.clear()
		return show()
	})
}

// watch shows until Ctrl-C, which is how it ends without an error.
func watch(ctx context.Context, every time.Duration, show func() error) error {
	if every <= 0 {
		return usagef("--interval %s: want a duration above 0, such as 1s", every)
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if err := show(); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func showDump(term *terminal, d bpf.MapDump) error {
	var rows [][]string
	for _, e := range d.Entries {
		rows = append(rows, []string{valueText(e.Key), valueText(e.Value)})
		for cpu, v := range e.PerCPU {
			rows = append(rows, []string{fmt.Sprintf("  cpu %d", cpu), valueText(v)})
		}
	}
	if err := term.table([]string{"KEY", "VALUE"}, rows); err != nil {
		return err
	}
	if d.Truncated {
		term.notice("there are more entries than the %d shown: give a higher --limit", len(d.Entries))
	}
	return nil
}

// valueText spells a decoded value in one line, as C initialisers look.
func valueText(v any) string {
	switch v := v.(type) {
	case bpf.Struct:
		parts := make([]string, len(v))
		for i, f := range v {
			parts[i] = f.Name + "=" + valueText(f.Value)
		}
		return "{" + strings.Join(parts, " ") + "}"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = valueText(e)
		}
		return "[" + strings.Join(parts, " ") + "]"
	}
	return fmt.Sprint(v)
}

func (s *session) listMaps(manager *bpf.Manager) error {
	if s.c.NArg() != 1 {
		return usagef("map ls: want INSTANCE, got %d arguments", s.c.NArg())
	}
	list, err := manager.Maps(s.c.Context, s.c.Args().First())
	if err != nil {
		return err
	}
	return s.print(list, func() error {
		var rows [][]string
		for _, m := range list {
			rows = append(rows, []string{m.Name, m.Type, fmt.Sprint(m.ID), m.Pin})
		}
		return s.term.table([]string{"NAME", "TYPE", "ID", "PIN"}, rows)
	})
}
