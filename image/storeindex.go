// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxIndexFile bounds index.json: some fifty thousand entries.
const maxIndexFile = 16 << 20

// loadIndex reads index.json. No lock is needed, because it is replaced as a
// whole. Entries nothing can be read by are dropped.
func (s *Store) loadIndex() (ocispec.Index, error) {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	path := filepath.Join(s.dir, ocispec.ImageIndexFile)
	data, err := readFile(path, maxIndexFile)
	if errors.Is(err, ErrNotFound) {
		return index, nil
	}
	if err != nil {
		return index, err
	}
	if err := json.Unmarshal(data, &index); err != nil {
		return index, fmt.Errorf("%s is damaged; restore it or move %s away: %w", path, s.dir, err)
	}
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool {
		return checkDigest(d.Digest.String()) != nil
	})
	return index, nil
}

// update changes index.json under the lock. change gets the current content; it
// may also write and, after the new index is in place, return what to do last.
func (s *Store) update(ctx context.Context, change func(*ocispec.Index) (after func() error, err error)) (err error) {
	if err := s.prepare(); err != nil {
		return err
	}
	unlock, err := lockFile(ctx, filepath.Join(s.dir, ".lock"))
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("waiting for another process to finish with the local store %s: %w", s.dir, err)
		}
		return s.cannotWrite(err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	s.removeLeftovers()
	index, err := s.loadIndex()
	if err != nil {
		return err
	}
	after, err := change(&index)
	if err != nil {
		return err
	}
	if err := s.saveIndex(index); err != nil || after == nil {
		return err
	}
	return after()
}

// saveIndex replaces index.json, unless it says the same already.
func (s *Store) saveIndex(index ocispec.Index) error {
	data, err := marshal(index)
	if err != nil {
		return err
	}
	if len(data) > maxIndexFile {
		return fmt.Errorf("the local store %s holds too many images; `bpfimg rm` some: %w", s.dir, ErrTooLarge)
	}
	path := filepath.Join(s.dir, ocispec.ImageIndexFile)
	if old, err := readFile(path, maxIndexFile); err == nil && bytes.Equal(old, data) {
		return nil
	}
	return s.writeDurably(path, data)
}

// setEntry adds entry, replacing the one with the same name or, for a nameless
// referrer, the same digest.
func setEntry(index *ocispec.Index, entry ocispec.Descriptor) {
	name := entry.Annotations[ocispec.AnnotationRefName]
	index.Manifests = slices.DeleteFunc(index.Manifests, func(old ocispec.Descriptor) bool {
		oldName := old.Annotations[ocispec.AnnotationRefName]
		return oldName == name && (name != "" || old.Digest == entry.Digest)
	})
	index.Manifests = append(index.Manifests, entry)
}

// entryReference is the name of an entry of index.json, if it is one of ours.
func entryReference(entry ocispec.Descriptor) (Reference, bool) {
	name := entry.Annotations[ocispec.AnnotationRefName]
	ref, err := ParseReference(name)
	return ref, err == nil && ref.String() == name
}

// hasEntry says whether digest is named in ref's repository already.
func hasEntry(index *ocispec.Index, ref Reference, d digest.Digest) bool {
	return slices.ContainsFunc(index.Manifests, func(entry ocispec.Descriptor) bool {
		known, ok := entryReference(entry)
		return ok && known.Name() == ref.Name() && entry.Digest == d
	})
}
