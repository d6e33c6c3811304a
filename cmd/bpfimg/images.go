// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/urfave/cli/v2"
)

func imagesCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:  "images",
		Usage: "list the images in the local store",
		Flags: []cli.Flag{outputFlag()},
		Action: withStore(term, func(s *session, store *image.Store) error {
			list, err := store.List(s.c.Context)
			if err != nil {
				return fmt.Errorf("listing the local store: %w", err)
			}
			return s.print(list, func() error { return showImages(term, list) })
		}),
	}
}

func showImages(term *terminal, list []image.StoredImage) error {
	var rows [][]string
	for _, im := range list {
		rows = append(rows, []string{im.Reference.String(), im.Descriptor.Digest.String(), sizeText(im.Size), ageText(im.Created)})
	}
	return term.table([]string{"REFERENCE", "DIGEST", "SIZE", "CREATED"}, rows)
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
