// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/lazyregexp"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxReferrerPages bounds how often "there is more" is believed.
const maxReferrerPages = 4

// noReferrersAPI are the answers of registries without the referrers API. Only
// 404 is in the specification.
var noReferrersAPI = []int{
	http.StatusBadRequest,
	http.StatusNotFound,
	http.StatusMethodNotAllowed,
	http.StatusNotAcceptable,
	http.StatusNotImplemented,
}

// nextLink finds the link to the next page among those of a header (RFC 8288), of
// whose parameters only rel counts.
var nextLink = lazyregexp.New(`<([^<>]+)>(?:\s*;[^<,]*?)?\s*;\s*rel="?next"?\s*(?:[;,]|$)`)

// Referrers implements [Source].
func (r *Registry) Referrers(ctx context.Context, ref Reference) ([]ocispec.Descriptor, error) {
	if err := ref.check(); err != nil {
		return nil, err
	}
	if ref.digest == "" {
		return nil, fmt.Errorf("listing the referrers of %s: %w: it has no digest", ref, ErrReference)
	}
	op := operation{"listing the referrers of", ref}
	var list []ocispec.Descriptor
	err := r.read(ctx, op, byName, effort{bodyLimit: MaxManifest}, func(ctx context.Context, s *session) (err error) {
		list, err = s.allReferrers(ctx, ref)
		if err == nil && len(list) == 0 && s.mirror {
			return errNoneHere
		}
		return err
	})
	if r.forgiven(op, err) != nil {
		return nil, nil
	}
	return list, err
}

// allReferrers asks the API, or reads the fallback tag without it.
func (s *session) allReferrers(ctx context.Context, ref Reference) ([]ocispec.Descriptor, error) {
	list, supported, err := s.referrers(ctx, ref)
	if err != nil || supported {
		return list, err
	}
	index, err := s.fallbackIndex(ctx, ref)
	return saneReferrers(index.Manifests), err
}

// referrers asks the API, page by page until [MaxReferrers] are known.
func (s *session) referrers(ctx context.Context, ref Reference) (list []ocispec.Descriptor, supported bool, err error) {
	next := s.url("referrers/" + ref.digest)
	for page := 0; next != nil && page < maxReferrerPages && len(list) < MaxReferrers; page++ {
		index, more, err := s.referrersPage(ctx, next)
		if err != nil {
			return nil, false, err
		}
		if index == nil {
			return nil, false, nil
		}
		list = saneReferrers(slices.Concat(list, index.Manifests))
		next = more
	}
	return list, true, nil
}

// referrersPage returns nil when the registry has no referrers API.
func (s *session) referrersPage(ctx context.Context, u *url.URL) (*ocispec.Index, *url.URL, error) {
	resp, err := s.send(ctx, http.MethodGet, u, http.Header{"Accept": {ocispec.MediaTypeImageIndex}}, nil)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if slices.Contains(noReferrersAPI, resp.StatusCode) {
		return nil, nil, nil
	}
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return nil, nil, err
	}
	mediaType, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || mediaType != ocispec.MediaTypeImageIndex {
		return nil, nil, nil // a catch-all page, not the API
	}
	data, err := readDocument(resp)
	if err != nil {
		return nil, nil, err
	}
	var index ocispec.Index
	if err := boundedjson.Unmarshal(data, &index); err != nil {
		return nil, nil, fmt.Errorf("the registry's referrers list is malformed: %w", err)
	}
	return &index, nextPage(u, resp.Header.Values("Link")), nil
}

// nextPage follows links within the registry only.
func nextPage(from *url.URL, links []string) *url.URL {
	for _, link := range links {
		m := nextLink().FindStringSubmatch(link)
		if m == nil {
			continue
		}
		if to, err := from.Parse(m[1]); err == nil && to.Host == from.Host {
			to.Scheme = from.Scheme
			return to
		}
	}
	return nil
}

// saneReferrers keeps the first [MaxReferrers] entries that can be fetched at
// all, once each: a bad entry must not hide a good one behind it.
func saneReferrers(entries []ocispec.Descriptor) []ocispec.Descriptor {
	var list []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	for _, desc := range entries {
		if seen[desc.Digest] || kindOf(desc.MediaType) == kindUnknown || checkDescriptor(desc, MaxManifest) != nil {
			continue
		}
		seen[desc.Digest] = true
		if list = append(list, desc); len(list) == MaxReferrers {
			break
		}
	}
	return list
}

// fallbackTag is where a registry without the API keeps the referrers of a
// digest (OCI distribution spec, "Referrers Tag Schema").
func fallbackTag(subject Reference) Reference {
	return subject.WithTag(strings.Replace(subject.digest, ":", "-", 1))
}

// fallbackIndex reads the index at the fallback tag; an empty one if there is
// none.
func (s *session) fallbackIndex(ctx context.Context, subject Reference) (ocispec.Index, error) {
	var index ocispec.Index
	m, err := s.manifest(ctx, fallbackTag(subject))
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return index, nil
	}
	if err != nil {
		return index, fmt.Errorf("fallback tag %s: %w", fallbackTag(subject).tag, err)
	}
	if m.Descriptor.MediaType != ocispec.MediaTypeImageIndex {
		return index, fmt.Errorf("fallback tag %s is a %q, not an index", fallbackTag(subject).tag, m.Descriptor.MediaType)
	}
	if err := boundedjson.Unmarshal(m.Bytes, &index); err != nil {
		return index, fmt.Errorf("fallback tag %s is malformed: %w", fallbackTag(subject).tag, err)
	}
	return index, nil
}
