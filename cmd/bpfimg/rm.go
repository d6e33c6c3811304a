// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/urfave/cli/v2"
)

func rmCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Aliases:   []string{"rmi"},
		Usage:     "remove images from the local store",
		ArgsUsage: "REFERENCE…",
		Flags:     []cli.Flag{outputFlag()},
		Action: withStore(term, func(s *session, store *image.Store) error {
			if s.c.NArg() == 0 {
				return usagef("rm: want at least one image reference; `bpfimg stop` ends a running instance")
			}
			for _, arg := range s.c.Args().Slice() {
				ref, err := parseReference(arg)
				if err != nil {
					return err
				}
				if err := store.Remove(s.c.Context, ref); err != nil {
					return fmt.Errorf("removing %s: %w", ref, err)
				}
				if err := s.printLine(removeResult{Removed: ref.String()}, "removed "+ref.String()); err != nil {
					return err
				}
			}
			return nil
		}),
	}
}

// removeResult is what `rm -o json` prints of each reference.
type removeResult struct {
	Removed string `json:"removed"`
}
