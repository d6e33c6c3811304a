// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/urfave/cli/v2"
)

func pushCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "push",
		Usage:     "upload an image from the local store to its registry",
		ArgsUsage: "REFERENCE",
		Flags:     []cli.Flag{outputFlag(), plainHTTPFlag(), timeoutFlag()},
		Action: func(c *cli.Context) error {
			ref, err := oneReference(c)
			if err != nil {
				return err
			}
			asJSON, err := wantJSON(c)
			if err != nil {
				return err
			}
			s, err := newSession(c, term)
			if err != nil {
				return err
			}
			digest, err := s.push(ref)
			if err != nil {
				return err
			}
			return term.result(asJSON, imageResult{Reference: ref.String(), Digest: digest}, ref.Name()+"@"+digest)
		},
	}
}

// push copies ref, and the signatures the store has of it, to its registry, and
// returns its digest.
func (s *session) push(ref image.Reference) (string, error) {
	ctx, cancel := s.deadline()
	defer cancel()
	store, err := s.store()
	if err != nil {
		return "", err
	}
	bar := s.term.progress("pushing " + ref.String())
	defer bar.done()
	registry, err := s.registry(bar.event)
	if err != nil {
		return "", err
	}
	desc, err := image.Copy(ctx, registry, ref, store, ref, image.CopyOptions{Referrers: true})
	if err != nil {
		return "", fmt.Errorf("pushing %s: %w", ref, err)
	}
	return desc.Digest.String(), nil
}
