// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/urfave/cli/v2"
)

func stopCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "stop",
		Usage:     "detach and unload instances; the kernel has let go when it returns",
		ArgsUsage: "NAME…",
		Flags: []cli.Flag{
			bpffsFlag(), outputFlag(),
			&cli.BoolFlag{Name: "all", Usage: "stop every instance"},
		},
		Action: withManager(term, func(s *session, manager *bpf.Manager) error {
			if s.c.Bool("all") == s.c.Args().Present() {
				return usagef("stop: want instance names or --all; `bpfimg ps` lists them")
			}
			return s.stop(manager, s.c.Args().Slice())
		}),
	}
}

// stop ends the named instances, or all of them when names is empty.
func (s *session) stop(manager *bpf.Manager, names []string) error {
	if len(names) == 0 {
		if err := manager.StopAll(s.c.Context); err != nil {
			return err
		}
		return s.printLine(stopResult{All: true}, "stopped all instances")
	}
	for _, name := range names {
		if err := manager.Stop(s.c.Context, name); err != nil {
			return fmt.Errorf("stopping %s: %w", name, err)
		}
		if err := s.printLine(stopResult{Name: name}, "stopped "+name); err != nil {
			return err
		}
	}
	return nil
}

// stopResult is what `stop -o json` prints: one document an instance, or one for
// all of them.
type stopResult struct {
	Name string `json:"name,omitempty"`
	All  bool   `json:"all,omitempty"`
}
