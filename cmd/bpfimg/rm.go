// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/urfave/cli/v2"
)

func remoteFlag(usage string) cli.Flag {
	return &cli.BoolFlag{Name: "remote", Usage: usage}
}

func rmCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Aliases:   []string{"rmi"},
		Usage:     "remove images from the local store, or from their registry",
		ArgsUsage: "REFERENCE…",
		Flags: []cli.Flag{
			remoteFlag("delete there: a tag alone, or with NAME@DIGEST the image and all its tags"),
			outputFlag(), plainHTTPFlag(), timeoutFlag(),
		},
		Action: withSession(term, func(s *session) error {
			if s.c.NArg() == 0 {
				return usagef("rm: want at least one image reference; `bpfimg stop` ends a running instance")
			}
			refs, err := s.references()
			if err != nil {
				return err
			}
			if s.c.Bool("remote") {
				return s.removeRemote(refs)
			}
			return s.removeLocal(refs)
		}),
	}
}

// removeResult is what `rm -o json` prints of each reference.
type removeResult struct {
	Removed string `json:"removed"`
}

func (s *session) removeLocal(refs []image.Reference) error {
	store, err := s.store()
	if err != nil {
		return err
	}
	return s.removeEach(refs, "removing", "", store.Remove)
}

// removeRemote never turns a tag into its digest: most registries delete all tags of
// a digest with it.
func (s *session) removeRemote(refs []image.Reference) error {
	for i, arg := range s.c.Args().Slice() {
		if ref := refs[i]; ref.Digest() == "" && !image.NamesTag(arg) {
			return usagef("rm --remote: %s names neither a tag nor a digest; say %s if that tag is meant", arg, ref)
		}
	}
	registry, err := s.origin(nil)
	if err != nil {
		return err
	}
	return s.removeEach(refs, "deleting in the registry:", ", with all tags it had", registry.Delete)
}

// removeEach says of a digest without a tag what else went with it.
func (s *session) removeEach(refs []image.Reference, doing, ofDigest string, remove func(context.Context, image.Reference) error) error {
	return each(s, refs, func(ref image.Reference) (removeResult, string, error) {
		ctx, cancel := s.deadline()
		defer cancel()
		result, line := removeResult{Removed: ref.String()}, "removed "+ref.String()
		if err := remove(ctx, ref); err != nil {
			return result, "", fmt.Errorf("%s %s: %w", doing, ref, err)
		}
		if ref.Tag() == "" {
			line += ofDigest
		}
		return result, line, nil
	})
}
