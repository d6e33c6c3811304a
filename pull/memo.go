// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Memo is an [image.Source] that remembers everything read through it, so that
// what was fetched and verified can be kept in a store without fetching it
// again. It holds all of it in memory: use one per image. Two concurrent first
// reads of the same thing may both reach the source below.
type Memo struct {
	src image.Source

	mu        sync.Mutex
	manifests map[image.Reference]image.Manifest
	blobs     map[digest.Digest][]byte
	referrers map[string][]ocispec.Descriptor
	seen      map[digest.Digest]bool
	// asked are the names somebody answered for, if only that there is nothing;
	// failed the blobs that could not be read.
	asked  map[image.Reference]bool
	failed map[digest.Digest]bool
	sealed bool
}

var _ image.Source = (*Memo)(nil)

// NewMemo returns an empty Memo over src.
func NewMemo(src image.Source) *Memo {
	return &Memo{
		src:       src,
		manifests: map[image.Reference]image.Manifest{},
		blobs:     map[digest.Digest][]byte{},
		referrers: map[string][]ocispec.Descriptor{},
		seen:      map[digest.Digest]bool{},
		asked:     map[image.Reference]bool{},
		failed:    map[digest.Digest]bool{},
	}
}

// Seal ends all reading from the source below: what was not read by now is not
// there. A copy from a sealed Memo asks the network for nothing.
func (m *Memo) Seal() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sealed = true
}

// Has says whether the manifest or blob desc names was read, as the Have of
// [image.CopyOptions] asks.
func (m *Memo) Has(desc ocispec.Descriptor) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[desc.Digest]
}

// Manifest implements [image.Source].
func (m *Memo) Manifest(ctx context.Context, ref image.Reference) (image.Manifest, error) {
	m.mu.Lock()
	man, ok := m.manifests[ref]
	sealed := m.sealed
	m.mu.Unlock()
	if ok {
		return man, nil
	}
	if sealed {
		return man, fmt.Errorf("manifest %s: %w", ref, image.ErrNotFound)
	}
	man, err := m.src.Manifest(ctx, ref)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.asked[ref] = errors.Is(err, image.ErrNotFound) || errors.Is(err, image.ErrUnauthorized)
		return man, err
	}
	m.asked[ref] = true
	m.manifests[ref] = man
	m.manifests[ref.WithDigest(man.Descriptor.Digest.String())] = man
	m.seen[man.Descriptor.Digest] = true
	return man, nil
}

// Blob implements [image.Source].
func (m *Memo) Blob(ctx context.Context, ref image.Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	m.mu.Lock()
	data, ok := m.blobs[desc.Digest]
	sealed := m.sealed
	m.mu.Unlock()
	if ok && int64(len(data)) == desc.Size && desc.Size <= limit {
		return data, nil
	}
	if empty := ocispec.DescriptorEmptyJSON; desc.Digest == empty.Digest && desc.Size == empty.Size && desc.Size <= limit {
		return empty.Data, nil // the config of every referrer; known, not read
	}
	if sealed {
		return nil, fmt.Errorf("blob %s: %w", desc.Digest, image.ErrNotFound)
	}
	data, err := m.src.Blob(ctx, ref, desc, limit)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failed[desc.Digest] = err != nil; err != nil {
		return nil, err
	}
	m.blobs[desc.Digest] = data
	m.seen[desc.Digest] = true
	return data, nil
}

// Referrers implements [image.Source].
func (m *Memo) Referrers(ctx context.Context, ref image.Reference) ([]ocispec.Descriptor, error) {
	m.mu.Lock()
	list, ok := m.referrers[ref.Digest()]
	sealed := m.sealed
	m.mu.Unlock()
	if ok || sealed {
		return list, nil
	}
	list, err := m.src.Referrers(ctx, ref)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.referrers[ref.Digest()] = list
	return list, nil
}

// Unasked says what of the attachments of ref's digest was not read, so that a copy
// from a sealed Memo lacks it.
func (m *Memo) Unasked(ref image.Reference) image.Unasked {
	m.mu.Lock()
	defer m.mu.Unlock()
	list, listed := m.referrers[ref.Digest()]
	u := image.Unasked{Unlisted: !listed}
	for _, desc := range list {
		if !m.whole(desc.Digest) {
			u.Referrers = append(u.Referrers, desc.Digest)
		}
	}
	for _, form := range legacyForms {
		if tag := image.LegacyTag(digest.Digest(ref.Digest()), form.suffix); tag != "" && !m.asked[ref.WithTag(tag)] {
			u.Tags = append(u.Tags, tag)
		}
	}
	return u
}

// whole says whether a referrer was read, with all of it that counts.
func (m *Memo) whole(d digest.Digest) bool {
	if !m.seen[d] {
		return false
	}
	for ref, man := range m.manifests {
		if ref.Digest() == d.String() {
			manifest, err := parseManifest(man)
			return err != nil || !slices.ContainsFunc(manifest.Layers, func(l ocispec.Descriptor) bool { return m.failed[l.Digest] })
		}
	}
	return true
}
