// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"fmt"
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
	if err := f.rest(ctx, img, want, opts); err != nil {
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
	timeout := opts.CandidateTimeout
	if timeout <= 0 {
		timeout = defaultCandidateTimeout
	}
	searchCtx, cancel := context.WithTimeout(groupCtx, timeout)
	defer cancel()
	var ofRoot, ofImage []Candidate
	search := func(found *[]Candidate, m image.Manifest) {
		if !opts.SkipCandidates {
			group.Go(func() error {
				*found = f.search(searchCtx, m.Descriptor.Digest)
				return nil
			})
		}
	}
	search(&ofRoot, img.Root)
	group.Go(func() (err error) {
		if img.Manifest, err = f.choose(groupCtx, img.Root, want); err != nil {
			return fmt.Errorf("index %s: %w", img.Root.Descriptor.Digest, err)
		}
		if img.Manifest.Descriptor.Digest != img.Root.Descriptor.Digest {
			search(&ofImage, img.Manifest)
		}
		if err := f.contents(groupCtx, img); err != nil {
			return fmt.Errorf("image %s: %w", img.Manifest.Descriptor.Digest, err)
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	img.Candidates = append(ofRoot, ofImage...)
	return ctx.Err() // what was found after it ended is not all there is
}
