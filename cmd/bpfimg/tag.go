// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/urfave/cli/v2"
)

func tagCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "tag",
		Usage:     "give an image another name, in the local store or in its registry",
		ArgsUsage: "SOURCE TARGET",
		Flags: []cli.Flag{
			remoteFlag("in the registry of both names, without a download"),
			plainHTTPFlag(), timeoutFlag(),
		},
		Action: withSession(term, func(s *session) error {
			if s.c.NArg() != 2 {
				return usagef("tag: want SOURCE and TARGET, got %d arguments", s.c.NArg())
			}
			refs, err := s.references()
			if err != nil {
				return err
			}
			if s.c.Bool("remote") {
				return s.tagRemote(refs[0], refs[1], s.c.Args().Get(1))
			}
			return s.tagLocal(refs[0], refs[1])
		}),
	}
}

func (s *session) tagLocal(src, dst image.Reference) error {
	store, err := s.store()
	if err != nil {
		return err
	}
	if err := store.Tag(s.c.Context, src, dst); err != nil {
		return fmt.Errorf("tagging %s as %s: %w", src, dst, err)
	}
	return nil
}

// tagRemote is tag in the registry. typed is dst as it was typed: crane and others take
// a tag alone there.
func (s *session) tagRemote(src, dst image.Reference, typed string) error {
	if src.Registry() != dst.Registry() && !strings.ContainsAny(typed, ":/@") {
		return usagef("tag --remote: %q is the image %s; for the tag say %s", typed, dst, src.WithTag(typed))
	}
	ctx, cancel := s.deadline()
	defer cancel()
	registry, err := s.origin(nil)
	if err != nil {
		return err
	}
	desc, err := registry.Retag(ctx, src, dst, s.counted(func(image.Event) {}).event)
	if err != nil {
		return fmt.Errorf("tagging %s as %s: %w", src, dst, err)
	}
	s.term.notice("%s is %s now", dst, desc.Digest)
	return nil
}
