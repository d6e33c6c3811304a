// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/urfave/cli/v2"
)

func pruneCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "prune",
		Usage: "delete from the local store what no image needs",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "dry-run", Aliases: []string{"n"}, Usage: "say what would be deleted, and delete nothing"},
			&cli.BoolFlag{Name: "now", Usage: "delete what is younger than an hour too, which another command may just be storing"},
			outputFlag(),
		},
		Action: withStore(term, func(s *session, store *image.Store) error {
			dry := s.c.Bool("dry-run")
			pruned, err := store.Prune(s.c.Context, image.PruneOptions{Now: s.c.Bool("now"), DryRun: dry})
			if err != nil {
				return fmt.Errorf("pruning the local store: %w", err)
			}
			verdicts, err := s.pruneVerdicts(store, dry)
			if err != nil {
				return err
			}
			pruned.Blobs += verdicts.Files
			pruned.Bytes += verdicts.Bytes
			word := "deleted"
			if dry {
				word = "would delete"
			}
			return s.printLine(pruned, fmt.Sprintf("%s %d files, %s", word, pruned.Blobs, sizeText(pruned.Bytes)))
		}),
	}
}

// pruneVerdicts forgets what was decided about images that the store has no more.
func (s *session) pruneVerdicts(store *image.Store, dry bool) (verify.PrunedVerdicts, error) {
	return s.verdicts().Prune(func(digest string) bool {
		ref, err := image.ParseReference("localhost/any@" + digest)
		if err != nil {
			return false
		}
		_, err = store.Manifest(s.c.Context, ref) // found whatever its name is
		return err == nil
	}, time.Now(), dry)
}
