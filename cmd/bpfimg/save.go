// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/urfave/cli/v2"
)

func saveCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "save",
		Usage:     "write images and all that is attached to them into one file, for sites without a network",
		ArgsUsage: "IMAGE…",
		Flags: []cli.Flag{
			fileFlag("", "the file to write, or - for standard output"),
			formatFlag(), plainHTTPFlag(), timeoutFlag(),
		},
		Action: withSession(term, func(s *session) error {
			file := s.c.String("output")
			if file == "" || s.c.NArg() == 0 {
				return usagef("save: want -o FILE and at least one image; -o - is standard output")
			}
			var from []image.Location
			for _, arg := range s.c.Args().Slice() {
				l, err := parseLocation(arg)
				if err != nil {
					return err
				}
				from = append(from, l)
			}
			if file == stdio {
				return s.withoutOutput().save(from, file)
			}
			return s.save(from, file)
		}),
	}
}

// save gathers the images; the file appears when all of them are there.
func (s *session) save(from []image.Location, file string) (err error) {
	ctx, cancel := s.deadline()
	defer cancel()
	bar := s.term.progress("saving " + file)
	defer bar.done()
	places, err := s.places(bar.event)
	if err != nil {
		return err
	}
	archive, err := s.newArchive(file)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, archive.Close()) }()
	var results []imageResult
	seen := map[string]bool{}
	for _, l := range from {
		r, err := s.saveOne(ctx, places, archive, l, bar.event)
		if err != nil {
			return fmt.Errorf("saving %s: %w", l, err)
		}
		if seen[r.Reference] {
			return usagef("save: two images are called %s", r.Reference)
		}
		seen[r.Reference] = true
		results = append(results, r)
	}
	if err := archive.Commit(ctx); err != nil {
		return err
	}
	bar.done()
	return s.printImages(results)
}

// newArchive opens what is written to.
func (s *session) newArchive(file string) (*image.ArchiveWriter, error) {
	if file != stdio {
		return image.NewArchiveWriter(file)
	}
	out, err := s.term.binary()
	if err != nil {
		return nil, err
	}
	dir, err := s.scratch()
	if err != nil {
		return nil, err
	}
	return image.NewArchiveStream(out, dir)
}

func (s *session) saveOne(ctx context.Context, places image.Places, archive *image.ArchiveWriter, from image.Location, progress func(image.Event)) (r imageResult, err error) {
	origin, err := places.Origin(ctx, from)
	if err != nil {
		return r, err
	}
	defer func() { err = joined.Errors(err, origin.Close()) }()
	if !origin.Named {
		return r, usagef("it has no whole name there, which the other site could use; give it one first: `bpfimg copy %s store:NAME`, then save store:NAME", from)
	}
	desc, err := image.Copy(ctx, archive, origin.Ref, origin.Source, origin.Ref,
		image.CopyOptions{Referrers: true, Progress: s.counted(progress).event})
	return imageResult{Reference: origin.Name().String(), Digest: desc.Digest.String()}, err
}

// printImages shows one image a line.
func (s *session) printImages(list []imageResult) error {
	return s.print(list, func() error {
		for _, r := range list {
			if _, err := fmt.Fprintln(s.term.out, safe(r.Reference), r.Digest); err != nil {
				return err
			}
		}
		return nil
	})
}
