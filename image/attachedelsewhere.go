// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// AttachedElsewhere is a registry whose images have their signatures, and all else
// that is attached to them, in another repository: what cosign does with
// COSIGN_REPOSITORY (sigstore/cosign, pkg/oci/remote/options.go). Lists of referrers
// and the tags of cosign 2 are read there, and so is what these name; a subject is
// still named by its digest alone. What is written goes there: it is for signing.
type AttachedElsewhere struct {
	inner sourceAndSink
	at    Reference

	mu sync.Mutex
	// there is what is known to be in the other repository.
	there map[digest.Digest]bool
}

type sourceAndSink interface {
	Source
	Sink
}

var (
	_ sourceAndSink = (*AttachedElsewhere)(nil)
	_ Conditional   = (*AttachedElsewhere)(nil)
)

// NewAttachedElsewhere reads and writes what is attached in a repository,
// [REGISTRY/]REPOSITORY, and all else as inner does. The error wraps [ErrReference].
func NewAttachedElsewhere(inner interface {
	Source
	Sink
}, repository string,
) (*AttachedElsewhere, error) {
	// With a digest behind it, a tag would be a tag and its absence no "latest".
	at, err := ParseReference(repository + "@sha256:" + strings.Repeat("0", 64))
	if err != nil || at.tag != "" {
		return nil, fmt.Errorf("%w %q: want a repository, without a tag or a digest", ErrReference, clipText(repository))
	}
	return &AttachedElsewhere{inner: inner, at: at, there: map[digest.Digest]bool{}}, nil
}

// Place is ref in the repository of what is attached.
func (a *AttachedElsewhere) Place(ref Reference) Reference {
	ref.registry, ref.repository = a.at.registry, a.at.repository
	return ref
}

// Manifest implements [Source].
func (a *AttachedElsewhere) Manifest(ctx context.Context, ref Reference) (Manifest, error) {
	tagged := ref.digest == "" && IsAttachmentTag(ref.tag)
	if !tagged && !a.isThere(digest.Digest(ref.digest)) {
		return a.inner.Manifest(ctx, ref)
	}
	m, err := a.inner.Manifest(ctx, a.Place(ref))
	if errors.Is(err, ErrNotFound) && !tagged {
		return a.inner.Manifest(ctx, ref)
	}
	if err != nil {
		return Manifest{}, err
	}
	if blobs, err := blobsOf(m); err == nil { // else it is refused by who reads it
		for _, b := range blobs {
			a.note(b.desc.Digest)
		}
	}
	return m, nil
}

// ManifestUnless implements [Conditional], where inner does, for tags of images.
func (a *AttachedElsewhere) ManifestUnless(ctx context.Context, ref Reference, known Manifest) (Manifest, error) {
	inner, ok := a.inner.(Conditional)
	if !ok || ref.digest != "" || IsAttachmentTag(ref.tag) {
		return a.Manifest(ctx, ref)
	}
	return inner.ManifestUnless(ctx, ref, known)
}

// Blob implements [Source].
func (a *AttachedElsewhere) Blob(ctx context.Context, ref Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if !a.isThere(desc.Digest) {
		return a.inner.Blob(ctx, ref, desc, limit)
	}
	data, err := a.inner.Blob(ctx, a.Place(ref), desc, limit)
	if errors.Is(err, ErrNotFound) { // such as an empty config, which many have
		return a.inner.Blob(ctx, ref, desc, limit)
	}
	return data, err
}

// Referrers implements [Source].
func (a *AttachedElsewhere) Referrers(ctx context.Context, ref Reference) ([]ocispec.Descriptor, error) {
	list, err := a.inner.Referrers(ctx, a.Place(ref))
	for _, desc := range list {
		a.note(desc.Digest)
	}
	return list, err
}

// PutBlob implements [Sink].
func (a *AttachedElsewhere) PutBlob(ctx context.Context, ref Reference, desc ocispec.Descriptor, data []byte, mountFrom string) error {
	a.note(desc.Digest)
	return a.inner.PutBlob(ctx, a.Place(ref), desc, data, mountFrom)
}

// PutManifest implements [Sink].
func (a *AttachedElsewhere) PutManifest(ctx context.Context, ref Reference, m Manifest) error {
	a.note(m.Descriptor.Digest)
	return a.inner.PutManifest(ctx, a.Place(ref), m)
}

// PutFallback implements [FallbackWriter].
func (a *AttachedElsewhere) PutFallback(ctx context.Context, ref Reference, m Manifest) error {
	w, ok := a.inner.(FallbackWriter)
	if !ok {
		return fmt.Errorf("listing %s at the fallback tag: %w", ref, errors.ErrUnsupported)
	}
	return w.PutFallback(ctx, a.Place(ref), m)
}

func (a *AttachedElsewhere) note(d digest.Digest) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.there[d] = true
}

func (a *AttachedElsewhere) isThere(d digest.Digest) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.there[d]
}
