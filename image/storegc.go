// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Remove takes away a name: a tag, or all names of a digest in ref's repository.
// Blobs, and referrers of images, that nothing names any more are deleted.
// [ErrNotFound] if there is no such name.
//
// What other processes are writing is safe: an unreferenced blob that the
// removed image did not use is deleted only when it is an hour old.
func (s *Store) Remove(ctx context.Context, ref Reference) error {
	if err := ref.check(); err != nil {
		return err
	}
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no image %s in the local store: %w", ref, ErrNotFound)
	}
	return s.update(ctx, func(index *ocispec.Index) (func() error, error) {
		var removed []ocispec.Descriptor
		index.Manifests = slices.DeleteFunc(index.Manifests, func(entry ocispec.Descriptor) bool {
			gone := names(ref, entry)
			if gone {
				removed = append(removed, entry)
			}
			return gone
		})
		if len(removed) == 0 {
			return nil, fmt.Errorf("no image %s in the local store: %w", ref, ErrNotFound)
		}
		if slices.ContainsFunc(removed, isAttachment) {
			(&nameBook{s: s, index: index}).forgetWhole(ref)
		}
		used, err := s.allBelow(removed)
		if err != nil {
			return nil, err
		}
		live, err := s.dropDeadReferrers(index, used)
		if err != nil {
			return nil, err
		}
		return func() error {
			_, err := s.sweep(live, used, false)
			return err
		}, nil
	})
}

// isAttachment says whether entry is a tag of what cosign 2 attached to an image.
func isAttachment(entry ocispec.Descriptor) bool {
	ref, ok := entryReference(entry)
	return ok && IsAttachmentTag(ref.tag)
}

// names says whether ref means entry.
func names(ref Reference, entry ocispec.Descriptor) bool {
	known, ok := entryReference(entry)
	if !ok || known.Name() != ref.Name() || ref.digest != "" && ref.digest != entry.Digest.String() {
		return false
	}
	return ref.tag == "" || ref.tag == known.tag
}

// dropDeadReferrers returns everything that is still in use. Nameless referrers
// whose subject is not, lose their entry and are added to used. Referrers can
// have referrers, so both sides are repeated until nothing changes.
func (s *Store) dropDeadReferrers(index *ocispec.Index, used map[digest.Digest]bool) (live map[digest.Digest]bool, err error) {
	live = map[digest.Digest]bool{}
	pending, err := s.absorb(index.Manifests, live, func(entry ocispec.Descriptor) bool {
		subject := entry.Annotations[annotationSubject]
		return subject == "" || entry.Annotations[ocispec.AnnotationRefName] != "" || live[digest.Digest(subject)]
	})
	if err != nil {
		return nil, err
	}
	young, err := s.absorb(pending, used, func(entry ocispec.Descriptor) bool {
		return used[digest.Digest(entry.Annotations[annotationSubject])] || s.old(entry.Digest)
	})
	if err != nil {
		return nil, err
	}
	// Young ones may belong to an image that is just being copied.
	_, err = s.absorb(young, live, func(ocispec.Descriptor) bool { return true })
	index.Manifests = slices.DeleteFunc(index.Manifests, func(entry ocispec.Descriptor) bool {
		return entry.Annotations[ocispec.AnnotationRefName] == "" && !live[entry.Digest]
	})
	return live, err
}

// absorb adds to set all that is below the entries that belong, which may depend
// on set, and returns the entries that do not.
func (s *Store) absorb(entries []ocispec.Descriptor, set map[digest.Digest]bool, belongs func(ocispec.Descriptor) bool) (rest []ocispec.Descriptor, err error) {
	rest = entries
	for {
		var taken, left []ocispec.Descriptor
		for _, entry := range rest {
			if belongs(entry) {
				taken = append(taken, entry)
			} else {
				left = append(left, entry)
			}
		}
		if rest = left; len(taken) == 0 {
			return rest, nil
		}
		below, err := s.allBelow(taken)
		if err != nil {
			return nil, err
		}
		maps.Copy(set, below)
	}
}

func (s *Store) allBelow(entries []ocispec.Descriptor) (map[digest.Digest]bool, error) {
	all := map[digest.Digest]bool{}
	for _, entry := range entries {
		below, err := s.below(entry.Digest)
		if err != nil {
			return nil, err
		}
		maps.Copy(all, below)
	}
	return all, nil
}

// below is a manifest's digest and everything reachable from it. What is
// missing or damaged has nothing below it; other errors end the walk.
func (s *Store) below(root digest.Digest) (map[digest.Digest]bool, error) {
	found := map[digest.Digest]bool{}
	queue := []digest.Digest{root}
	for len(queue) > 0 {
		d := queue[0]
		queue = queue[1:]
		if found[d] || checkDigest(d.String()) != nil {
			continue
		}
		found[d] = true
		data, err := s.readBlob(d, MaxManifest)
		switch {
		case errors.Is(err, ErrNotFound), errors.Is(err, ErrDigestMismatch), errors.Is(err, ErrTooLarge):
			continue
		case err != nil:
			return nil, fmt.Errorf("reading %s from the local store: %w", d, err)
		}
		var content manifestLinks
		if boundedjson.Unmarshal(data, &content) != nil {
			continue
		}
		for _, leaf := range append(content.Layers, content.Config) {
			found[leaf.Digest] = true
		}
		for _, child := range content.Manifests {
			queue = append(queue, child.Digest)
		}
	}
	return found, nil
}

// sweep deletes the blobs that are not live: those of the removed images at
// once, others when they are old. With dryRun it only counts them.
func (s *Store) sweep(live, used map[digest.Digest]bool, dryRun bool) (swept Pruned, failed error) {
	files, err := s.blobFiles()
	if err != nil {
		return swept, fmt.Errorf("cleaning up the local store: %w", err)
	}
	for _, file := range files {
		d := file.digest
		if live[d] || !used[d] && !s.old(d) {
			continue
		}
		if info, err := file.Info(); err == nil {
			swept.Blobs++
			swept.Bytes += info.Size()
		}
		if dryRun {
			continue
		}
		if err := os.Remove(s.blobPath(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = joined.Errors(failed, s.cannotWrite(err))
		}
	}
	if !dryRun {
		s.sweepUnasked()
	}
	return swept, failed
}

func (s *Store) old(d digest.Digest) bool {
	info, err := os.Stat(s.blobPath(d))
	return err != nil || s.abandoned(info)
}
