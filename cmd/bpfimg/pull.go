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
		Usage:     "download images and their signatures into the local store",
		ArgsUsage: "REFERENCE…",
		Flags:     []cli.Flag{platformFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag()},
		Action: withImages(term, func(s *session, refs []image.Reference) error {
			return each(s, refs, s.pull)
		}),
	}
}

// pull fetches ref for one platform, so that a broken or foreign image is
// refused here rather than when it is to run, and keeps what it read.
func (s *session) pull(ref image.Reference) (result imageResult, line string, err error) {
	ctx, cancel := s.deadline()
	defer cancel()
	store, err := s.store()
	if err != nil {
		return result, "", err
	}
	bar := s.term.progress("pulling " + ref.String())
	defer bar.done()
	registry, err := s.registry(bar.event)
	if err != nil {
		return result, "", err
	}
	source, err := s.attached(registry)
	if err != nil {
		return result, "", err
	}
	memo := pull.NewMemo(&pull.Cached{Local: store, Remote: s.shared(store, source)})
	img, err := pull.Fetch(ctx, memo, ref, pull.Options{Platform: s.c.String("platform")})
	if err != nil {
		return result, "", fmt.Errorf("pulling %s: %w", ref, err)
	}
	memo.Seal() // what nobody reads, such as a large referrer, is not fetched to be kept
	if _, err = image.Copy(ctx, store, ref, memo, ref, image.CopyOptions{Referrers: true, Have: memo.Has}); err != nil {
		return result, "", fmt.Errorf("keeping %s in the local store: %w", ref, err)
	}
	bar.done()
	s.term.notice("format %s, objects: %d, possible signatures: %d", img.Format, len(img.Objects), len(img.Candidates))
	result, line = namedImage(ref, img.Root.Descriptor.Digest.String())
	return result, line, nil
}
