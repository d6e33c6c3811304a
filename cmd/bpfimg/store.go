// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/urfave/cli/v2"
)

func imagesCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "images",
		Usage: "list the images in the local store",
		Flags: []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			asJSON, err := wantJSON(c)
			if err != nil {
				return err
			}
			s, err := newSession(c, term)
			if err != nil {
				return err
			}
			store, err := s.store()
			if err != nil {
				return err
			}
			list, err := store.List(c.Context)
			if err != nil {
				return fmt.Errorf("listing the local store: %w", err)
			}
			if asJSON {
				return term.json(list)
			}
			var rows [][]string
			for _, im := range list {
				rows = append(rows, []string{im.Reference.String(), im.Descriptor.Digest.String(), sizeText(im.Size), ageText(im.Created)})
			}
			return term.table([]string{"REFERENCE", "DIGEST", "SIZE", "CREATED"}, rows)
		},
	}
}

// sizeText is n bytes for people, in powers of 1000 as docker prints them.
func sizeText(n int64) string {
	const unit = 1000
	if n < unit {
		return strconv.FormatInt(n, 10) + "B"
	}
	value, units := float64(n), "kMGT"
	for i := range units {
		if value /= unit; value < unit || i == len(units)-1 {
			return fmt.Sprintf("%.1f%cB", value, units[i])
		}
	}
	return ""
}

// ageText is a date for people; reproducible images are born at the epoch,
// which says nothing.
func ageText(t time.Time) string {
	if t.Unix() <= 0 {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04")
}

func rmCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Aliases:   []string{"rmi"},
		Usage:     "remove images from the local store",
		ArgsUsage: "REFERENCE…",
		Flags:     []cli.Flag{outputFlag()},
		Action: func(c *cli.Context) error {
			asJSON, err := wantJSON(c)
			if err != nil {
				return err
			}
			if c.NArg() == 0 {
				return usagef("rm: want at least one image reference; `bpfimg stop` ends a running instance")
			}
			s, err := newSession(c, term)
			if err != nil {
				return err
			}
			store, err := s.store()
			if err != nil {
				return err
			}
			for _, arg := range c.Args().Slice() {
				ref, err := parseReference(arg)
				if err != nil {
					return err
				}
				if err := store.Remove(c.Context, ref); err != nil {
					return fmt.Errorf("removing %s: %w", ref, err)
				}
				if err := term.result(asJSON, removeResult{Removed: ref.String()}, "removed "+ref.String()); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// removeResult is what `rm -o json` prints of each reference.
type removeResult struct {
	Removed string `json:"removed"`
}

func tagCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "tag",
		Usage:     "give an image in the local store another name",
		ArgsUsage: "SOURCE TARGET",
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return usagef("tag: want SOURCE and TARGET, got %d arguments", c.NArg())
			}
			src, err := parseReference(c.Args().Get(0))
			if err != nil {
				return err
			}
			dst, err := parseReference(c.Args().Get(1))
			if err != nil {
				return err
			}
			s, err := newSession(c, term)
			if err != nil {
				return err
			}
			store, err := s.store()
			if err != nil {
				return err
			}
			if err := store.Tag(c.Context, src, dst); err != nil {
				return fmt.Errorf("tagging %s as %s: %w", src, dst, err)
			}
			return nil
		},
	}
}
