// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// memory is a repository that can be looked into, and whose tags count how
// often they were resolved. Not safe for concurrent use.
type memory struct {
	manifests map[string]image.Manifest // by digest
	tags      map[string]string         // tag → digest
	blobs     map[digest.Digest][]byte
	resolved  map[string]int
	fail      error // of every write
}

func newMemory() *memory {
	return &memory{
		manifests: map[string]image.Manifest{}, tags: map[string]string{},
		blobs: map[digest.Digest][]byte{}, resolved: map[string]int{},
	}
}

func (m *memory) Manifest(_ context.Context, ref image.Reference) (image.Manifest, error) {
	at := ref.Digest()
	if at == "" {
		m.resolved[ref.Tag()]++
		at = m.tags[ref.Tag()]
	}
	got, ok := m.manifests[at]
	if !ok {
		return got, fmt.Errorf("%s: %w", ref, image.ErrNotFound)
	}
	return got, nil
}

func (m *memory) Blob(_ context.Context, ref image.Reference, desc ocispec.Descriptor, _ int64) ([]byte, error) {
	data, ok := m.blobs[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("%s: blob %s: %w", ref, desc.Digest, image.ErrNotFound)
	}
	return data, nil
}

func (m *memory) Referrers(_ context.Context, ref image.Reference) (list []ocispec.Descriptor, err error) {
	for _, put := range m.manifests {
		var head struct{ Subject *ocispec.Descriptor }
		if json.Unmarshal(put.Bytes, &head) == nil && head.Subject != nil && head.Subject.Digest.String() == ref.Digest() {
			list = append(list, put.Descriptor)
		}
	}
	return list, nil
}

func (m *memory) PutBlob(_ context.Context, ref image.Reference, desc ocispec.Descriptor, data []byte, _ string) error {
	if m.fail != nil {
		return m.fail
	}
	if desc.Digest != digest.FromBytes(data) || desc.Size != int64(len(data)) {
		return fmt.Errorf("%s: %w", ref, image.ErrDigestMismatch)
	}
	m.blobs[desc.Digest] = data
	return nil
}

func (m *memory) PutManifest(_ context.Context, ref image.Reference, put image.Manifest) error {
	if m.fail != nil {
		return m.fail
	}
	at := digest.FromBytes(put.Bytes).String()
	if ref.Digest() != "" && ref.Digest() != at {
		return fmt.Errorf("%s: %w", ref, image.ErrDigestMismatch)
	}
	m.manifests[at] = put
	if ref.Tag() != "" {
		m.tags[ref.Tag()] = at
	}
	return nil
}

// add stores an image manifest under tag and returns its digest.
func (m *memory) add(tag, body string) digest.Digest {
	d := digest.FromString(body)
	m.manifests[d.String()] = image.Manifest{Bytes: []byte(body), Descriptor: ocispec.Descriptor{
		MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: int64(len(body)),
	}}
	m.tags[tag] = d.String()
	return d
}

func reference(t *testing.T, s string) image.Reference {
	t.Helper()
	ref, err := image.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
