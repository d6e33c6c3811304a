// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/verify"
	"github.com/opencontainers/go-digest"
	"github.com/urfave/cli/v2"
)

func pullCommand(term *terminal) *cli.Command {
	return &cli.Command{
		Name:      "pull",
		Usage:     "download images and their signatures into the local store",
		ArgsUsage: "REFERENCE…",
		Flags: trustFlags(
			&cli.BoolFlag{Name: "refresh", Usage: "look for new signatures of a tag that has not moved, too"},
			platformFlag(), outputFlag(), plainHTTPFlag(), timeoutFlag()),
		Action: withImages(term, func(s *session, refs []image.Reference) error {
			return each(s, refs, s.pull)
		}),
	}
}

// pull fetches ref for one platform, so that a broken or foreign image is
// refused here rather than when it is to run, and keeps what it read. Of a tag that
// has not moved, and of which all is there, nothing more is asked.
func (s *session) pull(ref image.Reference) (result imageResult, line string, err error) {
	p, err := s.newPuller(ref)
	if err != nil {
		return result, "", err
	}
	ctx, cancel := s.deadline()
	defer cancel()
	bar := s.term.progress("pulling " + ref.String())
	defer bar.done()
	shared, err := p.open(bar.event)
	if err != nil {
		return result, "", err
	}
	img, err := p.unmoved(ctx)
	if err != nil {
		return result, "", err
	}
	if img != nil {
		bar.done()
		s.term.notice("%s is what it was, and all of it is here; --refresh looks for new signatures", ref)
		result, line = namedImage(ref, img.Root.Descriptor.Digest.String())
		return result, line, nil
	}
	img, err = p.pull(ctx)
	if errors.Is(err, verify.ErrNotTrusted) {
		err = joined.Errors(err, shared.Discard())
	}
	if err != nil {
		return result, "", err
	}
	bar.done()
	s.term.notice("format %s, objects: %d, possible signatures: %d", img.Format, len(img.Objects), len(img.Candidates))
	result, line = namedImage(ref, img.Root.Descriptor.Digest.String())
	return result, line, nil
}

// puller is one pull of one reference.
type puller struct {
	s      *session
	ref    image.Reference
	judge  *judge // nil: nothing was said about whom to trust
	store  *image.Store
	cached *pull.Cached
}

func (s *session) newPuller(ref image.Reference) (p *puller, err error) {
	p = &puller{s: s, ref: ref}
	if s.trustGiven() {
		if p.judge, err = s.newJudge(ref); err != nil {
			return nil, err
		}
	}
	p.store, err = s.store()
	return p, err
}

// open connects nothing yet. What is returned knows what was downloaded.
func (p *puller) open(progress func(image.Event)) (image.Shared, error) {
	registry, err := p.s.registry(progress)
	if err != nil {
		return nil, err
	}
	source, err := p.s.attached(registry)
	if err != nil {
		return nil, err
	}
	shared := p.s.shared(p.store, source)
	p.cached = &pull.Cached{Local: p.store, Remote: shared}
	return shared, nil
}

func (p *puller) fetch(ctx context.Context, src image.Source) (*pull.Image, error) {
	img, err := pull.Fetch(ctx, src, p.ref, pull.Options{Platform: p.s.c.String("platform")})
	if err != nil {
		return nil, fmt.Errorf("pulling %s: %w", p.ref, err)
	}
	return img, nil
}

// unmoved returns the image in the store if it is what the registry has under this tag,
// an earlier pull took all that was attached to it, nothing of that is damaged, and
// it is trusted, where that was asked for. Which repository that pull looked for
// attachments in is only known if it was the image's own.
func (p *puller) unmoved(ctx context.Context) (*pull.Image, error) {
	if p.s.elsewhere() || p.s.c.Bool("refresh") {
		return nil, nil
	}
	src, err := p.cached.Unmoved(ctx, p.ref)
	if err != nil {
		return nil, fmt.Errorf("pulling %s: %w", p.ref, err)
	}
	if src == nil {
		return nil, nil
	}
	img, err := p.fetch(ctx, src)
	if err != nil {
		return nil, ctx.Err() // it is incomplete
	}
	whole, err := p.store.Whole(ctx, p.ref, img.Root.Descriptor.Digest, img.Manifest.Descriptor.Digest)
	if err != nil || !whole || slices.ContainsFunc(img.Candidates, func(c pull.Candidate) bool { return c.Err != nil }) {
		return nil, err
	}
	if p.judge != nil {
		if _, err := p.judge.check(ctx, img); err != nil {
			return nil, ctx.Err() // there may be new signatures
		}
	}
	return img, nil
}

// pull fetches the image with all that is attached to it, and keeps it if it is
// trusted, where that was asked for.
func (p *puller) pull(ctx context.Context) (*pull.Image, error) {
	memo := pull.NewMemo(p.cached)
	img, err := p.fetch(ctx, memo)
	if err != nil {
		return nil, err
	}
	if p.judge != nil {
		if _, err := p.judge.check(ctx, img); err != nil {
			return nil, p.s.lookedElsewhere(err)
		}
	} else if _, _, err := verify.Describe(img); err != nil {
		// Whoever judges it reads the objects, too.
		return nil, fmt.Errorf("pulling %s: nothing could load it: %w", p.ref, err)
	}
	memo.Seal() // what nobody reads, such as a large referrer, is not fetched to be kept
	if err := p.keep(ctx, img, memo); err != nil {
		return nil, fmt.Errorf("keeping %s in the local store: %w", p.ref, err)
	}
	return img, nil
}

func (p *puller) keep(ctx context.Context, img *pull.Image, memo *pull.Memo) error {
	images := []digest.Digest{img.Root.Descriptor.Digest, img.Manifest.Descriptor.Digest}
	opts := image.CopyOptions{Referrers: true, Have: memo.Has}
	if foundAll(img) && !p.s.elsewhere() {
		opts.Whole = images
	}
	note := unaskedNote{store: p.store, memo: memo, elsewhere: p.s.elsewhere()}
	return note.around(ctx, p.ref, []string{images[0].String(), images[1].String()}, func() error {
		_, err := image.Copy(ctx, p.store, p.ref, memo, p.ref, opts)
		return err
	})
}

// foundAll says whether another attempt would bring no more: what is missing of what
// is attached is so for reasons of its own.
func foundAll(img *pull.Image) bool {
	for _, c := range img.Candidates {
		if c.Err != nil && !errors.Is(c.Err, image.ErrTooLarge) && !errors.Is(c.Err, image.ErrNotFound) &&
			!errors.Is(c.Err, image.ErrDigestMismatch) && !errors.Is(c.Err, pull.ErrBadImage) {
			return false
		}
	}
	return true
}
