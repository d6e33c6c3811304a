// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/urfave/cli/v2"
)

func tagCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "tag",
		Usage:     "give an image in the local store another name",
		ArgsUsage: "SOURCE TARGET",
		Action: withStore(term, func(s *session, store *image.Store) error {
			if s.c.NArg() != 2 {
				return usagef("tag: want SOURCE and TARGET, got %d arguments", s.c.NArg())
			}
			src, err := parseReference(s.c.Args().Get(0))
			if err != nil {
				return err
			}
			dst, err := parseReference(s.c.Args().Get(1))
			if err != nil {
				return err
			}
			if err := store.Tag(s.c.Context, src, dst); err != nil {
				return fmt.Errorf("tagging %s as %s: %w", src, dst, err)
			}
			return nil
		}),
	}
}
