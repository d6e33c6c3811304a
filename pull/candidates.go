// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// bundleTypes begins the media type of a Sigstore bundle of any version.
const bundleTypes = "application/vnd.dev.sigstore.bundle"

// search returns the candidates attached to subject, in a stable order. What
// cannot be fetched becomes a candidate that says why.
func (f *fetch) search(ctx context.Context, subject digest.Digest) []Candidate {
	var (
		bundles, signatures, attestations []Candidate

		all   sync.WaitGroup
		large atomic.Int64 // what is left for what is not small
	)
	large.Store(maxLargeBundles)
	all.Go(func() { bundles = f.bundles(ctx, subject, &large) })
	all.Go(func() { signatures = f.legacy(ctx, subject, legacySignatures()) })
	all.Go(func() { attestations = f.legacy(ctx, subject, legacyAttestations(&large)) })
	all.Wait()
	return slices.Concat(bundles, signatures, attestations)
}

// bundles returns those among the referrers of subject. All are looked at: a
// bad one must not hide a good one.
func (f *fetch) bundles(ctx context.Context, subject digest.Digest, large *atomic.Int64) []Candidate {
	list, err := f.src.Referrers(ctx, f.ref.WithDigest(subject.String()))
	if err != nil {
		return []Candidate{{Kind: KindBundle, Subject: subject.String(), Err: fmt.Errorf("listing the referrers: %w", err)}}
	}
	list = likelyFirst(list)
	found := make([]*Candidate, len(list))
	var group errgroup.Group // errors stay with their candidate
	group.SetLimit(maxParallel)
	for i, desc := range list {
		group.Go(func() error {
			found[i] = f.referrer(ctx, subject, desc, large)
			return nil
		})
	}
	_ = group.Wait() // no function returns one
	var all []Candidate
	for _, c := range found {
		if c != nil {
			all = append(all, *c)
		}
	}
	return all
}

// likelyFirst brings those that say they are bundles to the front and cuts the
// list. It filters nothing: some registries report another artifactType.
func likelyFirst(list []ocispec.Descriptor) []ocispec.Descriptor {
	seen := map[digest.Digest]bool{}
	var likely, others []ocispec.Descriptor
	for _, d := range list {
		switch {
		case seen[d.Digest]:
		case strings.HasPrefix(d.ArtifactType, bundleTypes):
			likely = append(likely, d)
		default:
			others = append(others, d)
		}
		seen[d.Digest] = true
	}
	all := append(likely, others...)
	return all[:min(len(all), maxReferrers)]
}

// referrer returns the bundle a referrer holds; nil when it is something else,
// such as an SBOM. large is what is left for bundles that are not small.
func (f *fetch) referrer(ctx context.Context, subject digest.Digest, desc ocispec.Descriptor, large *atomic.Int64) *Candidate {
	if !isImage(desc.MediaType) {
		return nil
	}
	c := &Candidate{Kind: KindBundle, Subject: subject.String(), Manifest: desc.Digest.String()}
	layer, err := f.bundleLayer(ctx, subject, desc)
	if err == nil && layer == nil {
		return nil
	}
	if err == nil {
		err = reserve("bundle", layer.Size, large)
	}
	if err == nil {
		c.Bundle, err = f.src.Blob(ctx, f.ref, *layer, maxBundle)
	}
	c.Err = err
	return c
}

// bundleLayer returns the layer of a referrer that is a bundle, nil without one.
func (f *fetch) bundleLayer(ctx context.Context, subject digest.Digest, desc ocispec.Descriptor) (*ocispec.Descriptor, error) {
	if err := checkDescriptor(desc); err != nil {
		return nil, err
	}
	// The list's word on the size is not to be believed; some registries say that of
	// manifest, config and layers together (goharbor/harbor#20187).
	if desc.Size > maxReferrerManifest+maxBundle {
		return nil, fmt.Errorf("%w: it is listed with %d bytes, at most %d are read", image.ErrTooLarge, desc.Size, maxReferrerManifest+maxBundle)
	}
	m, err := f.src.Manifest(ctx, f.ref.WithDigest(desc.Digest.String()))
	switch {
	case err != nil:
		return nil, err
	case m.Descriptor.Digest != desc.Digest:
		return nil, fmt.Errorf("%w: the list names %s, fetched was %s", image.ErrDigestMismatch, desc.Digest, m.Descriptor.Digest)
	case m.Descriptor.Size > maxReferrerManifest:
		return nil, fmt.Errorf("%w: its manifest is %d bytes, at most %d are read", image.ErrTooLarge, m.Descriptor.Size, maxReferrerManifest)
	}
	manifest, err := parseManifest(m)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(manifest.Layers, func(l ocispec.Descriptor) bool { return strings.HasPrefix(l.MediaType, bundleTypes) })
	if i < 0 {
		return nil, nil
	}
	if manifest.Subject == nil || manifest.Subject.Digest != subject {
		return nil, bad("it is listed as a referrer of %s, but refers to another manifest", subject)
	}
	return &manifest.Layers[i], nil
}

// reserve takes size bytes out of what is left for large bundles and
// attestations; what says which.
func reserve(what string, size int64, large *atomic.Int64) error {
	if size > maxBundle {
		return fmt.Errorf("%w: the %s is %d bytes, at most %d are read", image.ErrTooLarge, what, size, maxBundle)
	}
	if size > smallBundle && large.Add(-size) < 0 {
		return fmt.Errorf("%w: the %s is %d bytes, and all over %d together may be %d",
			image.ErrTooLarge, what, size, smallBundle, maxLargeBundles)
	}
	return nil
}
