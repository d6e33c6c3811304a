// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/urfave/cli/v2"
)

func updateCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "update",
		Usage:     "pull and verify another image, and exchange what an instance runs for it",
		ArgsUsage: "NAME REFERENCE",
		Flags: trustFlags(insecureFlag(),
			&cli.StringSliceFlag{Name: "attach", Usage: "PROGRAM=HOOK[:TARGET][,option=value…] for programs that shall go elsewhere (repeatable)"},
			setFlag(), maxEntriesFlag(), btfFlag(),
			&cli.BoolFlag{Name: "keep-maps", Value: true, Usage: "go on using the maps whose definition is unchanged"},
			&cli.BoolFlag{Name: "allow-downgrade", Usage: "take an image of a lower version than what runs"},
			&cli.BoolFlag{Name: "force", Usage: "load the image though it runs already"},
			pullFlag(pullAlways), platformFlag(), bpffsFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag(),
		),
		Action: withSession(term, func(s *session) error {
			if s.c.NArg() != 2 {
				return usagef("update: want NAME and REFERENCE, got %d arguments; `bpfimg ps` lists the names", s.c.NArg())
			}
			ref, err := parseReference(s.c.Args().Get(1))
			if err != nil {
				return err
			}
			return s.update(s.c.Args().First(), ref)
		}),
	}
}

func (s *session) update(name string, ref image.Reference) error {
	run, err := s.runOptions()
	if err != nil {
		return err
	}
	known := func(ctx context.Context, manager *bpf.Manager) error {
		_, err := manager.Maps(ctx, name)
		return err
	}
	var updated *bpf.Updated
	err = s.withVerified(ref, known, func(ctx context.Context, manager *bpf.Manager, v *verify.Verified) (err error) {
		updated, err = manager.Update(ctx, name, v, bpf.UpdateOptions{
			Attach: run.Attach, Set: run.Set, MaxEntries: run.MaxEntries, FreshMaps: !s.c.Bool("keep-maps"),
			KernelBTF: run.KernelBTF, AllowDowngrade: s.c.Bool("allow-downgrade"),
			Force: s.c.Bool("force"),
		})
		if err != nil {
			return fmt.Errorf("updating %s to %s@%s: %w", name, ref.Name(), v.Digest(), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.print(updated, func() error { return showUpdated(s.term, updated) })
}

func showUpdated(term *terminal, u *bpf.Updated) error {
	var lines []string
	for _, a := range u.Attachments {
		lines = append(lines, sentence(fmt.Sprintf("%s %s: %s", a.Program, a.Place, a.Change), a.Why))
	}
	for _, m := range u.Maps {
		lines = append(lines, sentence(fmt.Sprintf("map %s: %s", m.Map, m.Change), m.Why))
	}
	done := fmt.Sprintf("updated from %s to %s", shortDigest(u.Instance.PreviousDigest), shortDigest(u.Instance.Digest))
	if u.Unchanged {
		done = fmt.Sprintf("runs %s already, with these settings: nothing is changed (--force loads it again)", shortDigest(u.Instance.Digest))
	}
	lines = append(lines, done)
	for _, line := range lines {
		if _, err := fmt.Fprintf(term.out, "%s: %s\n", safe(u.Instance.Name), safe(line)); err != nil {
			return err
		}
	}
	return nil
}

// sentence adds the reason, where there is one.
func sentence(what, why string) string {
	if why == "" {
		return what
	}
	return what + ", because " + why
}
