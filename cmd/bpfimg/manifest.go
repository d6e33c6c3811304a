// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/urfave/cli/v2"
)

func manifestCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "manifest",
		Usage:     "print the manifest or index of an image, byte by byte as it is stored",
		ArgsUsage: "REFERENCE",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "config", Usage: "the config instead, of one platform"},
			&cli.StringFlag{Name: "platform", Usage: "the manifest of the image for os/arch[/variant], not the index it is in"},
			plainHTTPFlag(), timeoutFlag(),
		},
		Action: withSession(term, func(s *session) error {
			if s.c.NArg() == 2 && (s.c.Args().First() == "inspect" || s.c.Args().First() == "get") {
				return usagef("manifest: docker's and regctl's second word is not needed: `bpfimg manifest REFERENCE`")
			}
			l, err := s.oneLocation()
			if err != nil {
				return err
			}
			return s.manifest(l)
		}),
	}
}

// manifest prints bytes whose digest was checked. Nothing is added to them, not even
// a line end: their digest is to be what the reference says.
func (s *session) manifest(l image.Location) error {
	ctx, cancel := s.deadline()
	defer cancel()
	var data []byte
	err := s.wherever(ctx, l, func(origin *image.Origin) (err error) {
		data, err = s.document(ctx, origin)
		return err
	})
	if err != nil {
		return err
	}
	return s.term.bytes(data)
}

// document is what of the image the flags ask for.
func (s *session) document(ctx context.Context, origin *image.Origin) ([]byte, error) {
	platform, config := s.c.String("platform"), s.c.Bool("config")
	if platform == "" && !config {
		m, err := origin.Source.Manifest(ctx, origin.Ref)
		return m.Bytes, err
	}
	m, err := pull.Choose(ctx, origin.Source, origin.Ref, platform)
	if err != nil || !config {
		return m.Bytes, err
	}
	return image.Config(ctx, origin.Source, origin.Ref, m)
}
