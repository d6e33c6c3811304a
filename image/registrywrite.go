// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bpfimg/bpfimg/internal/pause"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// headerSubject confirms that the registry keeps the referrers list itself (OCI
// distribution spec, "Pushing Manifests with Subject").
const headerSubject = "OCI-Subject"

// PutManifest implements [Sink].
func (r *Registry) PutManifest(ctx context.Context, ref Reference, m Manifest) error {
	head, err := checkManifest(ref, m)
	if err != nil {
		return fmt.Errorf("pushing manifest %s: %w", ref, err)
	}
	put := func(ctx context.Context, s *session) (subject string, err error) {
		subject, err = s.putManifest(ctx, ref, m)
		if ref.digest == "" && IsAttachmentTag(ref.tag) {
			err = immutableAttachment(ref.tag, err)
		}
		return subject, err
	}
	err = r.write(ctx, operation{"pushing manifest", ref}, effort{bodyLimit: MaxManifest}, func(ctx context.Context, s *session) error {
		if head.Subject == nil {
			if s.hasManifest(ctx, ref, m) {
				return nil
			}
			_, err := put(ctx, s)
			return err
		}
		subject := ref.WithDigest(head.Subject.Digest.String())
		kept, err := put(ctx, s)
		if err != nil {
			return err
		}
		if listed, err := r.isListed(ctx, s, subject, kept == subject.digest); listed || err != nil {
			return err
		}
		return r.ensureReferrer(ctx, s, subject, head.entry(m))
	})
	if errors.Is(err, ErrBlobsMissing) {
		r.mu.Lock()
		r.doubted[ref.Name()] = true
		r.mu.Unlock()
	}
	return refusedType(head, err)
}

// isListed says whether the registry lists what refers to subject by itself. That it
// says so in a header counts only after its referrers API has answered once in this
// repository: Docker Hub and Amazon's registry sent the header before they had the API
// (docker/hub-feedback#2372, sigstore/sigstore-js#1183), and what was not listed then is
// lost. Others have the API and no header (Quay, Harbor 2.8).
func (r *Registry) isListed(ctx context.Context, s *session, subject Reference, says bool) (bool, error) {
	r.mu.Lock()
	known := r.listing[subject.Name()]
	r.mu.Unlock()
	if says && known {
		return true, nil
	}
	page, err := s.referrersPage(ctx, s.url("referrers/"+subject.digest))
	if err != nil || page.index == nil {
		return false, err
	}
	r.mu.Lock()
	r.listing[subject.Name()] = true
	r.mu.Unlock()
	return true, nil
}

// ErrAttachmentImmutable: the tag that a registry cannot move is one that attaches
// something to an image, and changes with everything that is attached. It is an
// [ErrImmutable], too.
var ErrAttachmentImmutable = fmt.Errorf("%w, and each signature or attestation moves it", ErrImmutable)

// immutableTagError is [ErrAttachmentImmutable] of a tag, which need not be in the
// reference of what was being written.
type immutableTagError struct{ tag string }

func (e *immutableTagError) Error() string {
	return fmt.Sprintf("tag %s: %v", e.tag, ErrAttachmentImmutable)
}
func (e *immutableTagError) Unwrap() error { return ErrAttachmentImmutable }

// immutableAttachment adds [ErrAttachmentImmutable] to the error of writing such a tag.
func immutableAttachment(tag string, err error) error {
	if !isImmutable(err) {
		return err
	}
	return fmt.Errorf("%w: %w", &immutableTagError{tag}, err)
}

// PutFallback implements [FallbackWriter].
func (r *Registry) PutFallback(ctx context.Context, ref Reference, m Manifest) error {
	head, err := checkManifest(ref, m)
	if err == nil && head.Subject == nil {
		err = malformed("it refers to no image")
	}
	if err != nil {
		return fmt.Errorf("listing %s at the fallback tag: %w", ref, err)
	}
	subject := ref.WithDigest(head.Subject.Digest.String())
	return r.write(ctx, operation{"listing at the fallback tag", ref}, effort{bodyLimit: MaxManifest}, func(ctx context.Context, s *session) error {
		return r.ensureReferrer(ctx, s, subject, head.entry(m))
	})
}

// hasManifest spares the upload, and the refusal by registries whose tags cannot
// be written twice. Any doubt is a no.
func (s *session) hasManifest(ctx context.Context, ref Reference, m Manifest) bool {
	header := http.Header{"Accept": {m.Descriptor.MediaType}}
	resp, err := s.send(ctx, http.MethodHead, s.url("manifests/"+manifestName(ref, m)), header, nil)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && resp.Header.Get(headerDigest) == m.Descriptor.Digest.String()
}

// putManifest returns the subject whose referrers the registry keeps by itself.
func (s *session) putManifest(ctx context.Context, ref Reference, m Manifest) (subject string, err error) {
	header := http.Header{"Content-Type": {m.Descriptor.MediaType}}
	if ref.tag != "" && !isBy(algorithms[0], m.Descriptor.Digest) {
		if done, subject, err := s.putWithTag(ctx, ref, m); done || err != nil {
			return subject, err
		}
	}
	resp, err := s.send(ctx, http.MethodPut, s.url("manifests/"+manifestName(ref, m)), header, bytes.NewReader(m.Bytes))
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if err := checkDone(resp); err != nil {
		return "", err
	}
	got := resp.Header.Get(headerDigest)
	if checkDigest(got) == nil && !isNamed(m.Bytes, digest.Digest(got)) {
		return "", fmt.Errorf("the registry stored %s instead of %s: %w", got, m.Descriptor.Digest, ErrDigestMismatch)
	}
	return resp.Header.Get(headerSubject), nil
}

// headerTag lists the tags a registry gave a manifest that was put by its digest.
const headerTag = "OCI-Tag"

// putWithTag puts a manifest under a digest that registries do not choose themselves,
// and its tag with it (OCI distribution spec of 2026, "Pushing Manifests": the parameter
// tag). Registries that know no such parameter have it under the digest then, and what
// the tag says there is up to them.
func (s *session) putWithTag(ctx context.Context, ref Reference, m Manifest) (done bool, subject string, err error) {
	at := s.url("manifests/" + m.Descriptor.Digest.String())
	at.RawQuery = url.Values{"tag": {ref.tag}}.Encode()
	header := http.Header{"Content-Type": {m.Descriptor.MediaType}}
	resp, err := s.send(ctx, http.MethodPut, at, header, bytes.NewReader(m.Bytes))
	if err != nil {
		return false, "", err
	}
	defer resp.Body.Close()
	if err := checkDone(resp); err != nil {
		return false, "", err
	}
	for tag := range strings.SplitSeq(strings.Join(resp.Header.Values(headerTag), ","), ",") {
		done = done || strings.TrimSpace(tag) == ref.tag
	}
	return done, resp.Header.Get(headerSubject), nil
}

func manifestName(ref Reference, m Manifest) string {
	if ref.tag != "" {
		return ref.tag
	}
	return m.Descriptor.Digest.String()
}

// fallbackRounds is how often an update of the fallback tag that another writer
// has overwritten is tried again.
const fallbackRounds = 8

// ensureReferrer makes entry a referrer of subject where the registry does not
// do so itself, through the fallback tag, which is read, changed and written.
// The specification has no conditional write. Within this value a lock keeps
// updates from being lost. Another process may have read before we wrote, and
// write after: so a second look is taken when it will have, and what it lost is
// added again.
func (r *Registry) ensureReferrer(ctx context.Context, s *session, subject Reference, entry ocispec.Descriptor) error {
	lock := r.referrerLock(subject)
	lock.Lock()
	defer lock.Unlock()
	for range fallbackRounds {
		begin := time.Now()
		index, err := s.fallbackIndex(ctx, subject)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == entry.Digest }) {
			return nil
		}
		if err := s.putFallbackIndex(ctx, subject, index, entry); err != nil {
			return immutableAttachment(fallbackTag(subject).tag, err)
		}
		if err := pause.For(ctx, r.retry.settle(time.Since(begin))); err != nil {
			return err
		}
	}
	return fmt.Errorf("fallback tag %s is being changed by others, try again", fallbackTag(subject).tag)
}

func (s *session) putFallbackIndex(ctx context.Context, subject Reference, index ocispec.Index, entry ocispec.Descriptor) error {
	index.SchemaVersion = 2
	index.MediaType = ocispec.MediaTypeImageIndex
	index.Manifests = append(index.Manifests, entry)
	data, err := marshal(index)
	if err != nil {
		return err
	}
	if len(data) > MaxManifest {
		return fmt.Errorf("fallback tag %s is full: %w", fallbackTag(subject).tag, ErrTooLarge)
	}
	_, err = s.putManifest(ctx, fallbackTag(subject), Manifest{
		Descriptor: ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageIndex,
			Digest:    digest.FromBytes(data),
			Size:      int64(len(data)),
		},
		Bytes: data,
	})
	return err
}

func (r *Registry) referrerLock(subject Reference) *sync.Mutex {
	r.mu.Lock()
	defer r.mu.Unlock()
	lock := r.referrerLocks[subject]
	if lock == nil {
		lock = &sync.Mutex{}
		r.referrerLocks[subject] = lock
	}
	return lock
}
