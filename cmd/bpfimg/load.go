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

func loadCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "load",
		Usage:     "read the images of a file into the local store",
		ArgsUsage: "-i FILE",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", Aliases: []string{"i"}, Usage: "the file to read, or - for standard input: of bpfimg save, podman save, docker save, skopeo copy or oras backup"},
			outputFlag(), timeoutFlag(),
		},
		Action: withStore(term, func(s *session, store *image.Store) error {
			if s.c.String("input") == "" || s.c.NArg() > 0 {
				return usagef("load: want -i FILE and nothing else; -i - is standard input")
			}
			return s.load(store, s.c.String("input"))
		}),
	}
}

// load copies everything with a whole name into the store. It verifies nothing:
// that is decided where the code is loaded.
func (s *session) load(store *image.Store, file string) (err error) {
	ctx, cancel := s.deadline()
	defer cancel()
	archive, err := s.openArchive(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, archive.Close()) }()
	bar := s.term.progress("loading " + file)
	defer bar.done()
	var results []imageResult
	for _, im := range archive.Images() {
		if !im.Full {
			s.term.notice("warning: left out: %q is no whole name; take it with `bpfimg copy oci-archive:%s store:NAME`", im.Name, file+selected(im))
			continue
		}
		if err := s.loadOne(ctx, store, archive, im, bar.event); err != nil {
			return fmt.Errorf("loading %s from %s: %w", im.Name, file, err)
		}
		results = append(results, imageResult{Reference: im.Reference().String(), Digest: im.Ref.Digest()})
	}
	bar.done()
	switch {
	case len(results) == 0:
		return fmt.Errorf("%s has no image with a whole name: %w", file, image.ErrNotFound)
	case !archive.KeepsDigests():
		s.term.notice("warning: %s is a docker archive, which keeps no manifests: the digests are new, and no signature fits them", file)
	}
	return s.printImages(results)
}

// selected is what follows a file's name to mean one image in it.
func selected(im image.ArchivedImage) string {
	if im.Name == "" {
		return "@" + im.Ref.Digest()
	}
	return ":" + im.Name
}

func (s *session) loadOne(ctx context.Context, store *image.Store, archive image.Archive, im image.ArchivedImage, progress func(image.Event)) error {
	_, err := image.Copy(ctx, store, im.Ref, archive, im.Ref,
		image.CopyOptions{Referrers: true, Progress: s.counted(progress).event})
	return err
}
