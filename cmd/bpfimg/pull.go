// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/urfave/cli/v2"
)

func pullCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "pull",
		Usage:     "download an image and its signatures into the local store",
		ArgsUsage: "REFERENCE",
		Flags:     []cli.Flag{platformFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag()},
		Action:    withImage(term, (*session).pull),
	}
}

// pull fetches ref for one platform, so that a broken or foreign image is
// refused here rather than when it is to run, and keeps what it read.
func (s *session) pull(ref image.Reference) error {
	ctx, cancel := s.deadline()
	defer cancel()
	store, err := s.store()
	if err != nil {
		return err
	}
	bar := s.term.progress("pulling " + ref.String())
	defer bar.done()
	registry, err := s.registry(bar.event)
	if err != nil {
		return err
	}
	memo := pull.NewMemo(&pull.Cached{Local: store, Remote: s.shared(store, registry)})
	img, err := pull.Fetch(ctx, memo, ref, pull.Options{Platform: s.c.String("platform")})
	if err != nil {
		return fmt.Errorf("pulling %s: %w", ref, err)
	}
	memo.Seal() // what nobody reads, such as a large referrer, is not fetched to be kept
	if err := noteUnasked(ctx, store, memo, ref, img.Root.Descriptor.Digest.String(), img.Manifest.Descriptor.Digest.String()); err != nil {
		return fmt.Errorf("keeping %s in the local store: %w", ref, err)
	}
	if _, err = image.Copy(ctx, store, ref, memo, ref, image.CopyOptions{Referrers: true, Have: memo.Has}); err != nil {
		return fmt.Errorf("keeping %s in the local store: %w", ref, err)
	}
	bar.done()
	s.term.notice("format %s, objects: %d, possible signatures: %d", img.Format, len(img.Objects), len(img.Candidates))
	return s.printImage(ref, img.Root.Descriptor.Digest.String())
}
