// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// bundleTypes begins the media type of a Sigstore bundle of any version.
const bundleTypes = "application/vnd.dev.sigstore.bundle"

// notaryType is the artifactType of a signature of the Notary Project
// (notaryproject/specifications, signature-specification.md).
const notaryType = "application/vnd.cncf.notary.signature"

// search looks for the candidates of one subject, within the limits on them.
type search struct {
	f       *fetch
	subject digest.Digest
	// seen are the referrers that this search, or one before it, lists, by digest.
	seen *sync.Map

	mu     sync.Mutex
	looked Looked
	notary map[digest.Digest]bool
	// left is how many candidates may still be looked at, all how many bytes may
	// still be read and large how many of these for what is not small.
	left, all, large int64
	// reserved is how many of those left are not for referrers.
	reserved int64
}

func newSearch(f *fetch, subject digest.Digest, seen *sync.Map) *search {
	return &search{
		f: f, subject: subject, seen: seen,
		looked: Looked{Subject: subject.String()}, notary: map[digest.Digest]bool{},
		left: MaxCandidates, all: MaxLooked, large: maxLargeBundles,
	}
}

// report says how far the search has come.
func (s *search) report() Looked {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.looked
	l.Notary = len(s.notary)
	return l
}

// everything returns all candidates attached to the subject, in a stable order:
// bad ones must not hide a good one. What cannot be fetched becomes a candidate
// that says why.
func (s *search) everything(ctx context.Context) []Candidate {
	var (
		list    []job
		tags    [2]*legacy
		lookups sync.WaitGroup
	)
	lookups.Go(func() { list = s.list(ctx) })
	for i, form := range legacyForms {
		lookups.Go(func() { tags[i] = s.lookUp(ctx, form) })
	}
	lookups.Wait()
	jobs := list
	for _, t := range tags {
		s.reserved += t.share()
		jobs = append(jobs, job{form: t.form, fetch: t.layers})
	}
	likelyFirst(jobs, Wanted{Signature: true})
	found := make([][]Candidate, len(jobs))
	inParallel(len(jobs), func(i int) func() {
		claimed := jobs[i].claim(s, tags)
		return func() {
			if claimed > 0 || jobs[i].form != nil || jobs[i].failed {
				found[i] = jobs[i].fetch(ctx, claimed)
			}
		}
	})
	return slices.Concat(found...)
}

// list asks for the referrers of the subject and returns a job for each.
func (s *search) list(ctx context.Context) []job {
	list, err := s.f.src.Referrers(ctx, s.f.ref.WithDigest(s.subject.String()))
	if err != nil {
		failed := Candidate{Kind: KindBundle, Subject: s.subject.String(), Err: fmt.Errorf("listing the referrers: %w", err)}
		return []job{{failed: true, fetch: func(context.Context, int) []Candidate { return []Candidate{failed} }}}
	}
	var jobs []job
	for _, desc := range list {
		if _, twice := s.seen.LoadOrStore(desc.Digest, true); twice {
			continue
		}
		s.sawNotary(desc.Digest, desc.ArtifactType)
		jobs = append(jobs, job{desc: desc, fetch: func(ctx context.Context, _ int) []Candidate { return s.referrer(ctx, desc) }})
	}
	s.noteList(ctx, len(list))
	return jobs
}

// recorder is a source that knows what else is attached, and was not asked for.
type recorder interface {
	Unasked(ctx context.Context, ref image.Reference) (image.Unasked, error)
}

var _ recorder = (*image.Store)(nil)

// noteList says how long the list is, and what is known to be missing in it.
func (s *search) noteList(ctx context.Context, n int) {
	var (
		unasked image.Unasked
		err     error
	)
	if r, ok := s.f.src.(recorder); ok {
		unasked, err = r.Unasked(ctx, s.f.ref.WithDigest(s.subject.String()))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looked.Listed, s.looked.Cut, s.looked.NeverFetched = n, n >= image.MaxReferrers, len(unasked.Referrers)
	if err != nil || unasked.Unlisted {
		s.looked.NeverAsked = append(s.looked.NeverAsked, KindBundle)
	}
	for _, form := range legacyForms {
		if err != nil || slices.Contains(unasked.Tags, image.LegacyTag(s.subject, form.suffix)) {
			s.looked.NeverAsked = append(s.looked.NeverAsked, form.kind)
		}
	}
}

// sawNotary counts a signature that nothing here reads.
func (s *search) sawNotary(d digest.Digest, artifactType string) {
	if artifactType != notaryType {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notary[d] = true
}

// release ends the reservation for t, whose turn it is.
func (s *search) release(t *legacy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= t.share()
}

// claim takes up to n candidates out of what may still be looked at, and says how
// many. The rest is counted.
func (s *search) claim(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := int(min(int64(n), max(s.left-s.reserved, 0)))
	s.left -= int64(got)
	s.looked.Looked += got
	s.looked.OverLimit += n - got
	return got
}

// referrer returns the bundle a referrer holds; none when it is something else,
// such as an SBOM.
func (s *search) referrer(ctx context.Context, desc ocispec.Descriptor) []Candidate {
	c := Candidate{Kind: KindBundle, Subject: s.subject.String(), Manifest: desc.Digest.String()}
	layer, err := s.bundleLayer(ctx, desc)
	if err == nil && layer == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.looked.Others++
		return nil
	}
	if err == nil {
		err = s.reserve("bundle", layer.Size, maxBundle)
	}
	if err == nil {
		c.Bundle, err = s.f.src.Blob(ctx, s.f.ref, *layer, maxBundle)
	}
	if fetchAgain(err) || Unanswered(err) {
		s.seen.Delete(desc.Digest) // another source may have it whole
	}
	c.Err = err
	return []Candidate{c}
}

// bundleLayer returns the layer of a referrer that is a bundle, nil without one. Of
// what the list says only the digest counts: some registries give another size,
// or another type.
func (s *search) bundleLayer(ctx context.Context, desc ocispec.Descriptor) (*ocispec.Descriptor, error) {
	if !isImage(desc.MediaType) {
		return nil, nil
	}
	if err := checkDescriptor(desc); err != nil {
		return nil, err
	}
	// The list's word on the size is not to be believed; some registries say that of
	// manifest, config and layers together (goharbor/harbor#20187).
	if desc.Size > maxReferrerManifest+maxBundle {
		return nil, fmt.Errorf("%w: it is listed with %d bytes, at most %d are read", image.ErrTooLarge, desc.Size, maxReferrerManifest+maxBundle)
	}
	said := max(min(desc.Size, maxReferrerManifest), 0)
	if err := s.reserve("manifest", said, maxReferrerManifest); err != nil {
		return nil, err
	}
	// What is read is kept, so that no more may come than was reserved, or than is
	// little enough in each of them.
	m, err := s.f.src.Manifest(image.WithManifestLimit(ctx, max(said, smallManifest)), s.f.ref.WithDigest(desc.Digest.String()))
	switch {
	case err != nil:
		return nil, err
	case m.Descriptor.Digest != desc.Digest:
		return nil, fmt.Errorf("%w: the list names %s, fetched was %s", image.ErrDigestMismatch, desc.Digest, m.Descriptor.Digest)
	case m.Descriptor.Size > said:
		if err := s.reserve("manifest", m.Descriptor.Size, maxReferrerManifest); err != nil {
			return nil, err
		}
	}
	manifest, err := parseManifest(m)
	if err != nil {
		return nil, err
	}
	s.sawNotary(desc.Digest, manifest.ArtifactType)
	i := slices.IndexFunc(manifest.Layers, func(l ocispec.Descriptor) bool { return strings.HasPrefix(l.MediaType, bundleTypes) })
	if i < 0 {
		return nil, nil
	}
	if manifest.Subject == nil || manifest.Subject.Digest != s.subject {
		return nil, bad("it is listed as a referrer of %s, but refers to another manifest", s.subject)
	}
	return &manifest.Layers[i], nil
}

// reserve takes size bytes out of what may still be read; what says of what, which
// may be limit bytes at most.
func (s *search) reserve(what string, size, limit int64) error {
	if size > limit {
		return fmt.Errorf("%w: the %s is %d bytes, at most %d are read", image.ErrTooLarge, what, size, limit)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case size > s.all:
		s.looked.OverLimit++
		return fmt.Errorf("%w: the %s is %d bytes, and all that is looked at together may be %d", image.ErrTooLarge, what, size, MaxLooked)
	case size > smallBundle && size > s.large:
		s.looked.OverLimit++
		return fmt.Errorf("%w: the %s is %d bytes, and all over %d together may be %d", image.ErrTooLarge, what, size, smallBundle, maxLargeBundles)
	case size > smallBundle:
		s.large -= size
	}
	s.all -= size
	return nil
}

// inParallel runs what prepare returns for 0 to n-1, several at a time; prepare
// itself is called in order.
func inParallel(n int, prepare func(i int) func()) {
	var all sync.WaitGroup
	room := make(chan struct{}, maxParallel)
	for i := range n {
		room <- struct{}{}
		run := prepare(i)
		all.Go(func() {
			defer func() { <-room }()
			run()
		})
	}
	all.Wait()
}
