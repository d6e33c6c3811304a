// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// StoredImage is one name in a [Store].
type StoredImage struct {
	Reference  Reference          `json:"reference"`
	Descriptor ocispec.Descriptor `json:"descriptor"`
	// Size in bytes of the manifest and everything below it that is there; blobs
	// that images share count for each.
	Size int64 `json:"size"`
	// Created is what the image says of itself; zero when it does not.
	Created time.Time `json:"created"`
}

// List returns the named images sorted by reference. A damaged image is listed
// with what could be read of it.
func (s *Store) List(ctx context.Context) ([]StoredImage, error) {
	index, err := s.loadIndex()
	if err := joined.Errors(ctx.Err(), err); err != nil {
		return nil, fmt.Errorf("listing the local store: %w", err)
	}
	images := []StoredImage{}
	for _, entry := range index.Manifests {
		ref, ok := entryReference(entry)
		if !ok {
			continue
		}
		below, err := s.below(entry.Digest)
		if err != nil {
			return nil, err
		}
		entry.Annotations = nil // the name is in Reference
		images = append(images, StoredImage{Reference: ref, Descriptor: entry, Size: s.sizeOf(below), Created: s.created(entry.Digest)})
	}
	slices.SortFunc(images, func(a, b StoredImage) int {
		return strings.Compare(a.Reference.String(), b.Reference.String())
	})
	return images, nil
}

func (s *Store) sizeOf(blobs map[digest.Digest]bool) (size int64) {
	for d := range blobs {
		if checkDigest(d.String()) != nil {
			continue
		}
		if info, err := os.Stat(s.blobPath(d)); err == nil {
			size += info.Size()
		}
	}
	return size
}

// created reads the date from the annotation of a manifest or from its config;
// of an index, from the first child that is there.
func (s *Store) created(d digest.Digest) time.Time {
	data, err := s.readBlob(d, MaxManifest)
	if err != nil {
		return time.Time{}
	}
	var content struct {
		Config      *ocispec.Descriptor  `json:"config"`
		Manifests   []ocispec.Descriptor `json:"manifests"`
		Annotations map[string]string    `json:"annotations"`
	}
	if boundedjson.Unmarshal(data, &content) != nil {
		return time.Time{}
	}
	if at, err := time.Parse(time.RFC3339, content.Annotations[ocispec.AnnotationCreated]); err == nil {
		return at
	}
	if content.Config != nil {
		return s.configCreated(*content.Config)
	}
	for _, child := range content.Manifests {
		if m, err := s.manifestAt(child.Digest, MaxManifest); err == nil && kindOf(m.Descriptor.MediaType) == kindImage {
			return s.created(child.Digest)
		}
	}
	return time.Time{}
}

func (s *Store) configCreated(desc ocispec.Descriptor) time.Time {
	data, err := s.readBlob(desc.Digest, MaxConfig)
	if err != nil {
		return time.Time{}
	}
	var config struct {
		Created *time.Time `json:"created"`
	}
	if boundedjson.Unmarshal(data, &config) != nil || config.Created == nil {
		return time.Time{}
	}
	return *config.Created
}
