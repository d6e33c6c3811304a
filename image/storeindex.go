// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxIndexFile bounds index.json: some fifty thousand entries.
const maxIndexFile = 16 << 20

// loadIndex reads index.json, without entries nothing can be read by.
func (s *Store) loadIndex() (ocispec.Index, error) {
	index, _, err := s.readIndex()
	return index, err
}

// readIndex reads index.json, and apart from it the entries nothing can be read by,
// such as those with a digest of another kind, which other tools may have written.
// No lock is needed, because the file is replaced as a whole.
func (s *Store) readIndex() (index ocispec.Index, unread []ocispec.Descriptor, err error) {
	index = ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	path := filepath.Join(s.dir, ocispec.ImageIndexFile)
	data, err := readFile(path, maxIndexFile)
	if errors.Is(err, ErrNotFound) {
		return index, nil, nil
	}
	if err != nil {
		return index, nil, err
	}
	if err := boundedjson.Unmarshal(data, &index); err != nil {
		return index, nil, fmt.Errorf("%s is damaged; restore it or move %s away: %w", path, s.dir, err)
	}
	index.Manifests = slices.DeleteFunc(index.Manifests, func(d ocispec.Descriptor) bool {
		if checkDigest(d.Digest.String()) == nil {
			return false
		}
		unread = append(unread, d)
		return true
	})
	return index, unread, nil
}

// update changes index.json under the lock. change gets the current content; it
// may also write and, after the new index is in place, return what to do last.
func (s *Store) update(ctx context.Context, change func(*ocispec.Index) (after func() error, err error)) (err error) {
	return s.locked(ctx, func(index *ocispec.Index, unread []ocispec.Descriptor) error {
		after, err := change(index)
		if err != nil {
			return err
		}
		keep(index, unread)
		if err := s.saveIndex(*index, s.syncAlone); err != nil || after == nil {
			return err
		}
		return after()
	})
}

// locked runs do under the lock, with what index.json says and the entries of it
// that nothing can be read by.
func (s *Store) locked(ctx context.Context, do func(index *ocispec.Index, unread []ocispec.Descriptor) error) (err error) {
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
	defer func() { err = joined.Errors(err, unlock()) }()
	s.removeLeftovers()
	index, unread, err := s.readIndex()
	if err != nil {
		return err
	}
	return do(&index, unread)
}

// saveIndex replaces index.json, unless it says the same already. sync makes the
// new file durable before it takes the old one's place, with all that it names; it
// gets nil where there is no new file.
func (s *Store) saveIndex(index ocispec.Index, sync func(*os.File) error) error {
	data, err := marshal(index)
	if err != nil {
		return err
	}
	if len(data) > maxIndexFile {
		return fmt.Errorf("the local store %s holds too many images; `bpfimg rm` some: %w", s.dir, ErrTooLarge)
	}
	path := filepath.Join(s.dir, ocispec.ImageIndexFile)
	if old, err := readFile(path, maxIndexFile); err == nil && bytes.Equal(old, data) {
		return sync(nil)
	}
	return s.writeDurably(path, data, sync)
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

// keep adds the entries nothing can be read by, which are not ours to delete, but for
// those whose name has been given to another.
func keep(index *ocispec.Index, unread []ocispec.Descriptor) {
	taken := map[string]bool{}
	for _, entry := range index.Manifests {
		taken[entry.Annotations[ocispec.AnnotationRefName]] = true
	}
	for _, entry := range unread {
		if name := entry.Annotations[ocispec.AnnotationRefName]; name == "" || !taken[name] {
			index.Manifests = append(index.Manifests, entry)
		}
	}
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
