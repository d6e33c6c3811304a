// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxReferrerPages bounds how often "there is more" is believed: enough for
	// [MaxReferrers] where a page has 16 entries (Amazon's have 50).
	maxReferrerPages = 64
	// maxReferrersRead bounds all pages of one list together, in bytes. An honest
	// entry is below 1 KiB.
	maxReferrersRead = 2 * MaxManifest
	// maxEntryAnnotations bounds the annotations of an entry that are kept.
	maxEntryAnnotations = 64
)

// noReferrersAPI are the answers of registries without the referrers API. Only
// 404 is in the specification. 303, to another host, is GitHub's to those who are
// not logged in.
var noReferrersAPI = []int{
	http.StatusSeeOther,
	http.StatusBadRequest,
	http.StatusNotFound,
	http.StatusMethodNotAllowed,
	http.StatusNotAcceptable,
	http.StatusNotImplemented,
}

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
	var format *formatError
	switch {
	case errors.As(err, &format): // what is on the list cannot be known
		return nil, fmt.Errorf("the list at the fallback tag %s: %w", fallbackTag(ref).tag, format)
	case errors.Is(err, ErrFallbackTaken):
		return nil, nil
	}
	return saneReferrers(index.Manifests), err
}

// hidden says whether err, of a tag, only means that there is no such tag: some
// registries answer 401 or 403 then (Artifactory, sigstore/cosign#2973). Whoever can
// read the image itself can read all tags beside it.
func (s *session) hidden(ctx context.Context, image Reference, err error) bool {
	var answer *transport.Error
	if !errors.As(err, &answer) || answer.StatusCode != http.StatusForbidden && answer.StatusCode != http.StatusUnauthorized {
		return false
	}
	_, err = s.manifest(ctx, image.WithTag("").WithDigest(image.digest))
	return err == nil
}

// referrers asks the API, page by page until [MaxReferrers] are known.
func (s *session) referrers(ctx context.Context, ref Reference) (list []ocispec.Descriptor, supported bool, err error) {
	next, before, size := s.url("referrers/"+ref.digest), trail{}, 0
	for next != nil && len(list) < MaxReferrers {
		if err := before.step(next); err != nil {
			return nil, false, err
		}
		page, err := s.referrersPage(ctx, next)
		switch size += page.size; {
		case err != nil:
			return nil, false, err
		case page.index == nil && len(before) == 1:
			return nil, false, nil
		case page.index == nil:
			return nil, false, fmt.Errorf("%w: it is no list of referrers", errPageLost)
		case size > maxReferrersRead:
			return nil, false, fmt.Errorf("the registry's list of referrers is over %d bytes: %w", maxReferrersRead, ErrTooLarge)
		}
		list = saneReferrers(slices.Concat(list, page.index.Manifests))
		if next, err = nextPage(next, page.links); err != nil && len(list) < MaxReferrers {
			return nil, false, err
		}
		if next != nil && len(before) == maxReferrerPages && len(list) < MaxReferrers {
			return nil, false, fmt.Errorf("%w: these were %d already", errPageLost, maxReferrerPages)
		}
		exchangeOf(ctx).progressed()
	}
	return list, true, nil
}

// referrersPage is one answer of the API. index is nil when there is no API.
type referrersPage struct {
	index *ocispec.Index
	links []string
	size  int // of the answer, in bytes
}

func (s *session) referrersPage(ctx context.Context, u *url.URL) (referrersPage, error) {
	var page referrersPage
	resp, err := s.staying().send(ctx, http.MethodGet, u, http.Header{"Accept": {ocispec.MediaTypeImageIndex}}, nil)
	if err != nil {
		return page, err
	}
	defer resp.Body.Close()
	if slices.Contains(noReferrersAPI, resp.StatusCode) {
		return page, nil
	}
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return page, err
	}
	data, err := readDocument(resp)
	if err != nil {
		return page, err
	}
	page.size, page.links = len(data), resp.Header.Values("Link")
	page.index, err = parseReferrers(data, resp.Header.Get("Content-Type"))
	return page, err
}

// staying is s, which does not go where another host has something else to see
// (303). Other redirects are followed.
func (s *session) staying() *session {
	client := *s.client
	client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if req.Response.StatusCode == http.StatusSeeOther && req.URL.Host != via[0].URL.Host {
			return http.ErrUseLastResponse
		}
		return checkRedirect(req, via)
	}
	at := *s
	at.client = &client
	return &at
}

// parseReferrers reads a page of the API. It is nil, without an error, when data is
// something else, such as the web page of a server that answers everything: that is
// told by the content. Headers do not tell: Harbor before 2.11 sent the list as
// application/json (goharbor/harbor#19690).
func parseReferrers(data []byte, contentType string) (*ocispec.Index, error) {
	declared, _, _ := mime.ParseMediaType(contentType) // "" if it is none
	var page struct {
		SchemaVersion int                   `json:"schemaVersion"`
		MediaType     string                `json:"mediaType"`
		Config        json.RawMessage       `json:"config"`
		Manifests     *[]ocispec.Descriptor `json:"manifests"`
	}
	if err := decodeList(data, &page); err != nil {
		isJSON := declared == "application/json" || strings.HasSuffix(declared, "+json")
		if !isJSON || bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) {
			return nil, nil
		}
		return nil, fmt.Errorf("the registry's referrers list is malformed: %w", err)
	}
	var index ocispec.Index
	if page.Manifests != nil {
		index.Manifests = *page.Manifests
	}
	switch {
	case page.MediaType != "":
		if kindOf(page.MediaType) != kindIndex {
			return nil, nil
		}
	case page.Config != nil:
		return nil, nil
	case page.Manifests != nil, page.SchemaVersion == 2:
	case declared != ocispec.MediaTypeImageIndex: // Harbor 2.13 sends {} as an index
		return nil, nil
	}
	return &index, nil
}

// decodeList decodes what a registry sends as a list.
func decodeList(data []byte, list any) error { return boundedjson.Unmarshal(data, list) }

// saneReferrers keeps the first [MaxReferrers] entries that can be fetched at
// all, once each: a bad entry must not hide a good one behind it. All that counts is
// the digest: registries say wrong sizes and types (goharbor/harbor#20187,
// oras-project/oras#1626).
func saneReferrers(entries []ocispec.Descriptor) []ocispec.Descriptor {
	var list []ocispec.Descriptor
	seen := map[digest.Digest]bool{}
	for _, desc := range entries {
		if seen[desc.Digest] || kindOf(desc.MediaType) == kindUnknown || checkDigest(desc.Digest.String()) != nil {
			continue
		}
		seen[desc.Digest] = true
		kept := ocispec.Descriptor{MediaType: desc.MediaType, Digest: desc.Digest, ArtifactType: desc.ArtifactType}
		if checkDescriptor(desc, MaxManifest) == nil {
			kept.Size = desc.Size
		}
		if len(desc.Annotations) <= maxEntryAnnotations {
			kept.Annotations = desc.Annotations
		}
		if list = append(list, kept); len(list) == MaxReferrers {
			break
		}
	}
	return list
}

// ErrFallbackTaken: the tag at which a registry without the referrers API would keep
// the referrers of an image is something else. It is left as it is.
var ErrFallbackTaken = errors.New("it is no list of referrers")

// fallbackIndex reads the index at the fallback tag; an empty one if there is
// none. What else is there is [ErrFallbackTaken]: GitLab resolves the tag to the
// image itself (oras-project/oras-go#1403).
func (s *session) fallbackIndex(ctx context.Context, subject Reference) (ocispec.Index, error) {
	var index ocispec.Index
	tag := fallbackTag(subject).tag
	m, err := s.manifest(ctx, fallbackTag(subject))
	var (
		answer *transport.Error
		format *formatError
	)
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound, s.hidden(ctx, subject, err):
		return index, nil
	case errors.As(err, &format):
		return index, fmt.Errorf("fallback tag %s: %w: %w", tag, ErrFallbackTaken, err)
	case err != nil:
		return index, fmt.Errorf("fallback tag %s: %w", tag, err)
	case m.Descriptor.Digest.String() == subject.digest:
		return index, fmt.Errorf("fallback tag %s: %w, the registry has the image itself there", tag, ErrFallbackTaken)
	case m.Descriptor.MediaType != ocispec.MediaTypeImageIndex:
		return index, fmt.Errorf("fallback tag %s: %w, but a %q", tag, ErrFallbackTaken, m.Descriptor.MediaType)
	}
	if err := decodeList(m.Bytes, &index); err != nil {
		return ocispec.Index{}, fmt.Errorf("fallback tag %s: %w: %w", tag, ErrFallbackTaken, malformed("%w", err))
	}
	return index, nil
}
