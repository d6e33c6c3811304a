// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/pause"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrUnlisted: a bundle is written, but the registry does not list it as attached to
// the image, so that nobody who looks there finds it.
var ErrUnlisted = errors.New("it is written, but the registry does not list it as attached to the image")

// listWaits are the pauses before each further look at the list, which some registries
// bring up to date later (notaryproject/notation#1222).
var listWaits = [...]time.Duration{250 * time.Millisecond, 500 * time.Millisecond, time.Second}

// attach stores m, whose subject is the image, where readers look for it.
func (j *job) attach(ctx context.Context, m ocispec.Manifest) (ocispec.Descriptor, error) {
	put, err := j.putManifest(ctx, "", m)
	if errors.Is(err, image.ErrFallbackTaken) {
		err = unlisted(put, err)
	}
	if err == nil {
		err = j.confirm(ctx, put)
	}
	return put.Descriptor, err
}

// confirm looks for m as verify does, and fails when it is not to be found. A registry
// may say that it lists what it gets, and not do so (Docker Hub in 2024), or say nothing:
// then it is listed at the fallback tag.
func (j *job) confirm(ctx context.Context, m image.Manifest) error {
	err := j.look(ctx, m)
	for _, wait := range listWaits {
		if !errors.Is(err, errNotYet) {
			return err
		}
		if err := pause.For(ctx, wait); err != nil {
			return unlisted(m, err)
		}
		err = j.look(ctx, m)
	}
	fallback, ok := j.repo.(image.FallbackWriter)
	if !errors.Is(err, errNotYet) || !ok {
		return err
	}
	if err := fallback.PutFallback(ctx, j.ref.WithDigest(m.Descriptor.Digest.String()), m); err != nil {
		return unlisted(m, err)
	}
	return j.look(ctx, m)
}

// errNotYet: a list that is whole lacks it.
var errNotYet = errors.New("readers look there and nowhere else")

// look says whether m is among the referrers of the image.
func (j *job) look(ctx context.Context, m image.Manifest) error {
	list, err := j.repo.Referrers(ctx, j.ref)
	if err != nil {
		return fmt.Errorf("looking for %s after it was written: %w", m.Descriptor.Digest, err)
	}
	switch {
	case slices.ContainsFunc(list, func(d ocispec.Descriptor) bool { return d.Digest == m.Descriptor.Digest }):
		return nil
	case len(list) >= image.MaxReferrers:
		return unlisted(m, fmt.Errorf("it is not among the first %d, and no more are read: remove what is not needed", len(list)))
	}
	return unlisted(m, fmt.Errorf("it lists %d others: %w", len(list), errNotYet))
}

func unlisted(m image.Manifest, why error) error {
	return fmt.Errorf("%s: %w: %w", m.Descriptor.Digest, ErrUnlisted, why)
}
