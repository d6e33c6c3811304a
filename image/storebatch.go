// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// storeBatch is what one copy puts into a store: an image with all that is attached to
// it. What it is made of is written as it comes, and nothing waits for the disk or
// has a name before commit, which does both once for all.
type storeBatch struct {
	s *Store
	// disk is what the barrier is asked of, nil where each file is synced alone.
	disk  *os.File
	roots []batchRoot
	// whole is [CopyOptions].Whole, for the first root.
	whole []digest.Digest
}

// batchRoot is a manifest that gets an entry in index.json, and what was put for it.
type batchRoot struct {
	ref      Reference
	manifest Manifest
	head     manifestHead
	children []planNode
}

var _ sinkBatch = (*storeBatch)(nil)

// batch implements [batchSink].
func (s *Store) batch(whole []digest.Digest) (sinkBatch, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	return &storeBatch{s: s, disk: s.openDisk(s.dir), whole: whole}, nil
}

// putChild implements [sinkBatch]: a manifest that only its index names gets no entry.
func (b *storeBatch) putChild(ctx context.Context, ref Reference, m Manifest) error {
	if _, err := checkManifest(ref, m); err != nil {
		return fmt.Errorf("storing %s: %w", ref, err)
	}
	return b.s.writeManifest(ctx, ref, m)
}

// putRoot implements [sinkBatch].
func (b *storeBatch) putRoot(ctx context.Context, ref Reference, m Manifest, children []planNode) error {
	head, err := checkManifest(ref, m)
	if err == nil {
		_, err = b.s.needs(m)
	}
	if err != nil {
		return fmt.Errorf("storing %s: %w", ref, err)
	}
	b.roots = append(b.roots, batchRoot{ref, m, head, children})
	return ctx.Err()
}

// commit implements [sinkBatch]. What the roots need is looked for under the lock: what
// nothing names yet can have been removed with another image, and from here on the
// roots keep it.
func (b *storeBatch) commit(ctx context.Context) error {
	return b.s.locked(ctx, func(index *ocispec.Index, unread []ocispec.Descriptor) error {
		var blobs []digest.Digest
		for i := range b.roots {
			found, err := b.writeRoot(ctx, &b.roots[i])
			if err != nil {
				return err
			}
			blobs = append(blobs, found...)
		}
		if err := b.name(index); err != nil {
			return err
		}
		keep(index, unread)
		return b.s.saveIndex(*index, func(f *os.File) error { return b.s.barrier(b.disk, eachOnce(blobs), f) })
	})
}

// writeRoot writes a root and returns all that it needs, which must be there.
func (b *storeBatch) writeRoot(ctx context.Context, root *batchRoot) (blobs []digest.Digest, err error) {
	for _, child := range root.children {
		needs, err := b.s.needs(child.manifest)
		if err == nil {
			err = b.s.present(child.manifest.Descriptor)
		}
		if err != nil {
			return nil, fmt.Errorf("storing %s: %w", root.ref, err)
		}
		blobs = append(append(blobs, needs...), child.manifest.Descriptor.Digest)
	}
	if err := b.s.writeManifest(ctx, root.ref, root.manifest); err != nil {
		return nil, err
	}
	needs, err := b.s.needs(root.manifest)
	if err != nil {
		return nil, fmt.Errorf("storing %s: %w", root.ref, err)
	}
	return append(append(blobs, needs...), root.manifest.Descriptor.Digest), nil
}

// name gives the roots their entries.
func (b *storeBatch) name(index *ocispec.Index) error {
	book := nameBook{s: b.s, index: index}
	for i, root := range b.roots {
		m := root.manifest.Descriptor
		if root.ref.tag == "" && root.head.Subject == nil && hasEntry(index, root.ref, m.Digest) {
			if i == 0 {
				book.markWhole(root.ref, m.Digest, b.whole)
			}
			continue
		}
		entry := ocispec.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size, ArtifactType: root.head.ArtifactType}
		entry.Annotations = b.s.entryAnnotations(root.ref, root.manifest, root.head)
		if err := book.carry(&entry, root.ref); err != nil {
			return err
		}
		setEntry(index, entry)
		if i == 0 {
			book.markWhole(root.ref, m.Digest, b.whole)
		}
	}
	return nil
}

// reset implements [sinkBatch].
func (b *storeBatch) reset() { b.roots = nil }

// close implements [sinkBatch].
func (b *storeBatch) close() {
	if b.disk != nil {
		_ = b.disk.Close() // nothing was written through it
		b.disk = nil
	}
}

// eachOnce leaves repetitions out: images share blobs, and referrers their config.
func eachOnce[T comparable](list []T) (all []T) {
	seen := map[T]bool{}
	for _, d := range list {
		if !seen[d] {
			seen[d] = true
			all = append(all, d)
		}
	}
	return all
}

// writeManifest writes the manifest itself.
func (s *Store) writeManifest(ctx context.Context, ref Reference, m Manifest) error {
	return s.putBlob(ctx, ref, m.Descriptor, "", func(context.Context) ([]byte, error) { return m.Bytes, nil })
}
