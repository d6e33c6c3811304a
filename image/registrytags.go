// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

const (
	// tagsPerPage is how many tags are asked for at a time; registries may send
	// fewer.
	tagsPerPage = 1000
	// minTagsPerPage: those that are not wanted must not cost a page each.
	minTagsPerPage = 100
	// maxTagPages bounds how often "there is more" is believed.
	maxTagPages = 1000
	// maxTagsRead bounds the tags that are looked at in all, wanted or not: they are
	// remembered, of up to 128 bytes each.
	maxTagsRead = 200_000
)

// IsAttachmentTag says whether a tag is one that attaches something to a digest,
// in the forms of cosign 2 and of registries without the referrers API.
func IsAttachmentTag(tag string) bool { return attachmentTag().MatchString(tag) }

// taggedSubject is the image that a tag attaches something to, where the tag holds its
// whole digest: that of a SHA-512 is cut.
func taggedSubject(ref Reference) (image Reference, ok bool) {
	const prefix, length = "sha256-", len("sha256-") + 64
	if ref.digest != "" || !strings.HasPrefix(ref.tag, prefix) || !IsAttachmentTag(ref.tag) {
		return Reference{}, false
	}
	return ref.WithTag("").WithDigest("sha256:" + ref.tag[len(prefix):length]), true
}

// ParseRepository parses [REGISTRY/]REPOSITORY, without tag or digest. The tag of
// the result is not meant. The error wraps [ErrReference].
func ParseRepository(s string) (Reference, error) {
	ref, err := ParseReference(s)
	if err != nil {
		return ref, err
	}
	if _, _, tagged := cutTag(s); tagged || ref.digest != "" {
		return ref, fmt.Errorf("%w %q: want a repository, without tag and digest", ErrReference, s)
	}
	return ref, nil
}

// Tags lists up to limit tags of ref's repository for which keep is true, page by
// page, in the registry's order. more says that there are others. Names that are no tags are
// left out. [ErrNotFound] if there is no such repository.
func (r *Registry) Tags(ctx context.Context, ref Reference, limit int, keep func(tag string) bool) (tags []string, more bool, err error) {
	seen, before := map[string]bool{}, trail{}
	var next *url.URL
	for page := 0; ; page++ {
		names, link, err := r.tagsPage(ctx, ref, next, min(tagsPerPage, max(limit+1, minTagsPerPage)))
		if err != nil {
			return nil, false, err
		}
		next = link
		for _, name := range names {
			if seen[name] || checkTag(name) != nil {
				continue
			}
			seen[name] = true
			if !keep(name) {
				continue
			}
			if len(tags) == limit {
				return tags, true, nil
			}
			tags = append(tags, name)
		}
		switch {
		case next == nil:
			return tags, false, nil
		case page == maxTagPages || len(seen) >= maxTagsRead:
			return tags, true, nil
		}
		if err := before.step(next); err != nil {
			return nil, false, tagsOf(ref).failed(err, nil, 1)
		}
	}
}

func tagsOf(ref Reference) operation { return operation{"listing the tags of", ref.WithTag("")} }

// tagsPage reads the page at from, nil for the first, with n tags or fewer.
func (r *Registry) tagsPage(ctx context.Context, ref Reference, from *url.URL, n int) (names []string, next *url.URL, err error) {
	err = r.read(ctx, tagsOf(ref), ofOrigin, effort{bodyLimit: MaxManifest}, func(ctx context.Context, s *session) (err error) {
		at := from
		if at == nil {
			at = s.url("tags/list")
			at.RawQuery = url.Values{"n": {strconv.Itoa(n)}}.Encode()
		}
		names, next, err = s.tagsPage(ctx, at)
		return err
	})
	return names, next, err
}

// tagsPage reads one page and the address of the next.
func (s *session) tagsPage(ctx context.Context, u *url.URL) ([]string, *url.URL, error) {
	resp, err := s.send(ctx, http.MethodGet, u, nil, nil)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return nil, nil, err
	}
	data, err := readDocument(resp)
	if err != nil {
		return nil, nil, err
	}
	var list struct {
		Tags []string `json:"tags"`
	}
	if err := boundedjson.UnmarshalWithin(data, &list, boundedjson.Limits{Elements: maxTagsRead}); err != nil {
		return nil, nil, fmt.Errorf("the registry's list of tags is malformed: %w", err)
	}
	next, err := nextPage(u, resp.Header.Values("Link"))
	return list.Tags, next, err
}

// Tags lists up to limit tags the store has in ref's repository for which keep is
// true, sorted. [ErrNotFound] if there are none.
func (s *Store) Tags(ctx context.Context, ref Reference, limit int, keep func(tag string) bool) (tags []string, more bool, err error) {
	index, err := s.loadIndex()
	if err := joined.Errors(ctx.Err(), err); err != nil {
		return nil, false, fmt.Errorf("listing the local store: %w", err)
	}
	for _, entry := range index.Manifests {
		if known, ok := entryReference(entry); ok && known.Name() == ref.Name() && known.tag != "" && keep(known.tag) {
			tags = append(tags, known.tag)
		}
	}
	if tags == nil {
		return nil, false, fmt.Errorf("no image of %s in the local store: %w", ref.Name(), ErrNotFound)
	}
	slices.Sort(tags)
	if len(tags) > limit {
		return tags[:limit], true, nil
	}
	return tags, false, nil
}
