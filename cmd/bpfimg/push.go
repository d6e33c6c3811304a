// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/urfave/cli/v2"
)

func pushCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "push",
		Usage:     "upload images from the local store to their registries",
		ArgsUsage: "REFERENCE…",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all-referrers", Usage: "take along signatures and attestations of other repositories, too"},
			outputFlag(), plainHTTPFlag(), timeoutFlag(),
		},
		Action: withImages(term, func(s *session, refs []image.Reference) error {
			return each(s, refs, func(ref image.Reference) (imageResult, string, error) {
				digest, err := s.push(ref)
				result, line := namedImage(ref, digest)
				return result, line, err
			})
		}),
	}
}

// push copies ref, and the signatures the store has of it by this name, to its
// registry, and returns its digest.
func (s *session) push(ref image.Reference) (string, error) {
	ctx, cancel := s.deadline()
	defer cancel()
	store, err := s.store()
	if err != nil {
		return "", err
	}
	bar := s.term.progress("pushing " + ref.String())
	defer bar.done()
	registry, err := s.origin(bar.event)
	if err != nil {
		return "", err
	}
	left := 0
	opts, err := store.PushOptions(ctx, ref, s.c.Bool("all-referrers"), func(ocispec.Descriptor) { left++ })
	if err != nil {
		return "", err
	}
	opts.Progress = s.counted(func(image.Event) {}).event
	desc, err := image.Copy(ctx, registry, ref, store, ref, opts)
	if err != nil {
		return "", fmt.Errorf("pushing %s: %w", ref, err)
	}
	if left > 0 {
		bar.done()
		s.term.notice("left out, as attached under other names than %s: %d; `bpfimg push --all-referrers` takes them along", ref.Name(), left)
	}
	return desc.Digest.String(), nil
}
