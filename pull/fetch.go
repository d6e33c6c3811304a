// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"golang.org/x/sync/errgroup"
)

// defaultCandidateTimeout is [Options].CandidateTimeout unless set.
const defaultCandidateTimeout = 30 * time.Second

// Options of [Fetch].
type Options struct {
	// Platform is "os/arch[/variant]"; default: linux and this machine's
	// architecture.
	Platform string
	// SkipCandidates leaves signatures unfetched (pull without verification).
	SkipCandidates bool
	// OnDemand leaves signatures unfetched until [Image.More] asks for them, but for
	// the first likely ones, which are fetched beside everything else.
	OnDemand bool
	// First, if set, is looked at for signatures before the source itself is, if it
	// has what the reference resolves to; for OnDemand only. It is for a local store:
	// what it has need not be asked for.
	First image.Source
	// CandidateTimeout bounds the search for signatures; those not fetched by
	// then carry the reason in Candidate.Err. Default: 30 s.
	CandidateTimeout time.Duration
}

// Fetch resolves ref at src once and returns the image of the platform with all
// its signature candidates. Errors of src are wrapped as they are; a hostile or
// broken image is [ErrBadImage], one of a kind this package does not read
// [ErrUnknownFormat], an index without the platform a [PlatformError].
func Fetch(ctx context.Context, src image.Source, ref image.Reference, opts Options) (*Image, error) {
	want, err := parsePlatform(opts.Platform)
	if err != nil {
		return nil, err
	}
	f := &fetch{src: src, ref: ref}
	root, err := f.resolve(ctx)
	if err != nil {
		return nil, err
	}
	img := &Image{Reference: ref, Root: root, asked: want}
	if opts.CandidateTimeout <= 0 {
		opts.CandidateTimeout = defaultCandidateTimeout
	}
	if opts.OnDemand && !opts.SkipCandidates {
		err = f.onDemand(ctx, img, want, opts)
	} else {
		err = f.rest(ctx, img, want, opts)
	}
	if err != nil {
		return nil, err
	}
	return img, nil
}

// fetch is one run of [Fetch].
type fetch struct {
	src image.Source
	ref image.Reference
}

// resolve turns the reference into a manifest, once: everything after asks for
// digests.
func (f *fetch) resolve(ctx context.Context) (image.Manifest, error) {
	root, err := f.src.Manifest(ctx, f.ref)
	if err != nil {
		return image.Manifest{}, err
	}
	got := root.Descriptor.Digest.String()
	if want := f.ref.Digest(); want != "" && got != want {
		return image.Manifest{}, fmt.Errorf("resolving %s: got %s: %w", f.ref, got, image.ErrDigestMismatch)
	}
	return root, nil
}

// rest fills in img below its root. Signatures are looked for beside everything
// else, from the moment a digest is known that they can be for.
func (f *fetch) rest(ctx context.Context, img *Image, want schemas.Platform, opts Options) error {
	group, groupCtx := errgroup.WithContext(ctx)
	searchCtx, cancel := context.WithTimeout(groupCtx, opts.CandidateTimeout)
	defer cancel()
	var searches [2]*search // of the root and of the image
	var found [2][]Candidate
	look := func(i int, m image.Manifest) {
		if opts.SkipCandidates {
			return
		}
		s := newSearch(f, m.Descriptor.Digest, &sync.Map{})
		searches[i] = s
		group.Go(func() error {
			found[i] = s.everything(searchCtx)
			return nil
		})
	}
	look(0, img.Root)
	group.Go(func() error {
		return f.below(groupCtx, img, want, func() { look(1, img.Manifest) })
	})
	if err := group.Wait(); err != nil {
		return err
	}
	img.Candidates = append(found[0], found[1]...)
	for _, s := range searches {
		if s != nil {
			img.lookedFor = append(img.lookedFor, s.report())
		}
	}
	return ctx.Err() // what was found after it ended is not all there is
}

// below chooses the image of the platform, and fetches it. chosen is told when it is
// not the root itself.
func (f *fetch) below(ctx context.Context, img *Image, want schemas.Platform, chosen func()) (err error) {
	if img.Manifest, err = f.choose(ctx, img.Root, want); err != nil {
		return fmt.Errorf("index %s: %w", img.Root.Descriptor.Digest, err)
	}
	if img.Manifest.Descriptor.Digest != img.Root.Descriptor.Digest {
		chosen()
	}
	if err := f.contents(ctx, img); err != nil {
		return fmt.Errorf("image %s: %w", img.Manifest.Descriptor.Digest, err)
	}
	return nil
}

// onDemand is rest, with the search for signatures no more than begun.
func (f *fetch) onDemand(ctx context.Context, img *Image, want schemas.Platform, opts Options) error {
	h := newHunt(ctx, opts.CandidateTimeout)
	sources := []*fetch{f}
	if opts.First != nil {
		first := &fetch{src: opts.First, ref: f.ref.WithDigest(img.Root.Descriptor.Digest.String())}
		if _, err := first.resolve(ctx); err == nil {
			sources = []*fetch{first, f}
		}
	}
	subjects := []image.Manifest{img.Root}
	h.follow(sources[0], img.Root.Descriptor.Digest, &sync.Map{})
	h.start(ctx)
	err := f.below(ctx, img, want, func() { subjects = append(subjects, img.Manifest) })
	if err != nil {
		h.stop()
		return err
	}
	seen := []*sync.Map{h.searches[0].seen, {}}
	for i, source := range sources {
		for k, m := range subjects {
			if i+k > 0 { // that has begun
				h.follow(source, m.Descriptor.Digest, seen[k])
			}
		}
	}
	img.hunt = h
	return ctx.Err()
}
