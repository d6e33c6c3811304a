// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/urfave/cli/v2"
)

func copyCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "copy",
		Aliases:   []string{"cp"},
		Usage:     "copy an image, with its signatures and all else that is attached to it",
		ArgsUsage: "SOURCE DESTINATION",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "copy all platforms of a multi-platform image (the default)"},
			&cli.StringFlag{Name: "platform", Usage: "copy only the image for os/arch[/variant], under its own digest"},
			&cli.BoolFlag{Name: "no-referrers", Usage: "leave signatures and everything else attached behind"},
			outputFlag(), plainHTTPFlag(), timeoutFlag(),
		},
		Action: withSession(term, func(s *session) error {
			if s.c.NArg() != 2 {
				return usagef("copy: want SOURCE and DESTINATION, got %d arguments", s.c.NArg())
			}
			if s.c.Bool("all") && s.c.String("platform") != "" {
				return usagef("copy: --all and --platform contradict each other")
			}
			from, err := parseLocation(s.c.Args().Get(0))
			if err != nil {
				return err
			}
			to, err := parseLocation(s.c.Args().Get(1))
			if err != nil {
				return err
			}
			return s.copy(from, to)
		}),
	}
}

// copyResult is what `copy -o json` prints.
type copyResult struct {
	Source      image.Location `json:"source"`
	Destination image.Location `json:"destination"`
	Digest      string         `json:"digest"`
	// Manifests counts what arrived: platforms, indexes and referrers.
	Manifests int `json:"manifests"`
}

func (s *session) copy(from, to image.Location) error {
	ctx, cancel := s.deadline()
	defer cancel()
	bar := s.term.progress(fmt.Sprintf("copying %s to %s", from, to))
	defer bar.done()
	places, err := s.places(bar.event)
	if err != nil {
		return err
	}
	result := copyResult{Source: from, Destination: to}
	if err := s.copyBetween(ctx, places, &result, bar.event); err != nil {
		return fmt.Errorf("copying %s to %s: %w", from, to, err)
	}
	bar.done()
	return s.printLine(result, fmt.Sprintf("%s %s", to, result.Digest))
}

// copyBetween opens both ends and fills in result.
func (s *session) copyBetween(ctx context.Context, places image.Places, result *copyResult, progress func(image.Event)) (err error) {
	origin, err := places.Origin(ctx, result.Source)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, origin.Close()) }()
	ref := origin.Ref
	if platform := s.c.String("platform"); platform != "" {
		m, err := pull.Choose(ctx, origin.Source, ref, platform)
		if err != nil {
			return err
		}
		ref = ref.WithDigest(m.Descriptor.Digest.String())
	}
	target, err := places.Target(result.Destination)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, target.Close()) }()
	count := s.counted(progress)
	desc, err := image.Copy(ctx, target.Sink, target.Ref, origin.Source, ref,
		image.CopyOptions{Referrers: !s.c.Bool("no-referrers"), Progress: count.event})
	if err != nil {
		return err
	}
	result.Digest, result.Manifests = desc.Digest.String(), count.manifests()
	return target.Commit(ctx)
}
