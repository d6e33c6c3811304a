// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
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
	err = r.write(ctx, operation{"pushing manifest", ref}, effort{bodyLimit: MaxManifest}, func(ctx context.Context, s *session) error {
		if head.Subject == nil {
			if s.hasManifest(ctx, ref, m) {
				return nil
			}
			_, err := s.putManifest(ctx, ref, m)
			return err
		}
		subject := ref.WithDigest(head.Subject.Digest.String())
		kept, err := s.putManifest(ctx, ref, m)
		if err != nil || kept == subject.digest {
			return err
		}
		entry := m.Descriptor
		entry.ArtifactType = head.artifactKind()
		entry.Annotations = head.Annotations
		return r.ensureReferrer(ctx, s, subject, entry)
	})
	return refusedArtifact(head, err)
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
	if err := transport.CheckError(resp, http.StatusCreated, http.StatusOK, http.StatusAccepted); err != nil {
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
	if err := transport.CheckError(resp, http.StatusCreated, http.StatusOK, http.StatusAccepted); err != nil {
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
// do so itself: through the fallback tag, which is read, changed and written.
// The specification has no conditional write. Within this value a lock keeps
// updates from being lost. Another process may have read before we wrote, and
// write after: so a second look is taken when it will have, and what it lost is
// added again.
func (r *Registry) ensureReferrer(ctx context.Context, s *session, subject Reference, entry ocispec.Descriptor) error {
	page, _, err := s.referrersPage(ctx, s.url("referrers/"+subject.digest))
	if err != nil || page != nil {
		return err
	}
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
			return err
		}
		if err := pause(ctx, r.retry.settle(time.Since(begin))); err != nil {
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
