// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// errMissingBlob: a manifest was to be stored before (or, after a concurrent
// Remove, without) its blobs.
var errMissingBlob = fmt.Errorf("store its blobs first: %w", ErrNotFound)

// PutBlob implements [Sink].
func (s *Store) PutBlob(ctx context.Context, ref Reference, desc ocispec.Descriptor, data []byte, mountFrom string) error {
	return s.putBlob(ctx, ref, desc, mountFrom, func(context.Context) ([]byte, error) { return data, nil })
}

// putBlob implements [lazySink].
func (s *Store) putBlob(ctx context.Context, ref Reference, desc ocispec.Descriptor, _ string, data blobReader) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("storing a blob of %s: %w", ref, err)
	}
	if s.freshen(desc) || s.adopt(desc) {
		return nil
	}
	content, err := data(ctx)
	if err != nil {
		return err
	}
	if err := checkContent(content, desc); err != nil {
		return fmt.Errorf("storing a blob of %s: %w", ref, err)
	}
	if err := s.prepareFor(desc.Digest); err != nil {
		return err
	}
	if s.adopt(desc) { // reading it may have been what brought it here
		return nil
	}
	return s.writeFile(s.blobPath(desc.Digest), content, func(*os.File) error { return nil })
}

// freshen says whether an intact copy is there, and makes it young again, so
// that it is not taken for abandoned before its manifest arrives.
func (s *Store) freshen(desc ocispec.Descriptor) bool {
	if checkDigest(desc.Digest.String()) != nil || !holds(s.blobPath(desc.Digest), desc) {
		return false
	}
	now := s.now()
	return os.Chtimes(s.blobPath(desc.Digest), now, now) == nil
}

// holds says whether a file is what desc names.
func holds(path string, desc ocispec.Descriptor) bool {
	info, err := os.Stat(path)
	if err != nil || info.Size() != desc.Size {
		return false
	}
	_, err = hashFile(path, desc.Digest)
	return err == nil
}

// PutManifest implements [Sink]. The blobs of an image must be there; children
// of an index may be missing.
func (s *Store) PutManifest(ctx context.Context, ref Reference, m Manifest) error {
	b, err := s.batch(nil)
	if err != nil {
		return err
	}
	defer b.close()
	if err := b.putRoot(ctx, ref, m, nil); err != nil {
		return err
	}
	return b.commit(ctx)
}

// entryAnnotations name an image, and mark a referrer. A referrer without a tag
// gets no name, so that it is listed with its subject only.
func (s *Store) entryAnnotations(ref Reference, m Manifest, head manifestHead) map[string]string {
	annotations := map[string]string{}
	if head.Subject != nil {
		annotations[annotationSubject] = head.Subject.Digest.String()
	}
	name := ""
	switch {
	case ref.tag != "":
		name = s.entryName(ref.WithTag(ref.tag))
	case head.Subject == nil:
		name = s.entryName(ref.WithDigest(m.Descriptor.Digest.String()))
	}
	if name != "" {
		annotations[ocispec.AnnotationRefName] = name
	}
	return annotations
}

// needs lists the blobs of an image, all of which must be there, or the children
// of an index that are.
func (s *Store) needs(m Manifest) (blobs []digest.Digest, err error) {
	var content manifestLinks
	if err := boundedjson.Unmarshal(m.Bytes, &content); err != nil {
		return nil, malformed("the manifest is malformed: %w", err)
	}
	if kindOf(m.Descriptor.MediaType) == kindIndex {
		for _, desc := range content.Manifests {
			if s.present(desc) == nil {
				blobs = append(blobs, desc.Digest)
			}
		}
		return blobs, nil
	}
	for _, desc := range append(content.Layers, content.Config) {
		if err := s.present(desc); err != nil {
			return nil, err
		}
		blobs = append(blobs, desc.Digest)
	}
	return blobs, nil
}

// present looks for a blob without reading it; reading hashes it anyway.
func (s *Store) present(desc ocispec.Descriptor) error {
	if err := checkDigest(desc.Digest.String()); err != nil {
		return err
	}
	info, err := os.Stat(s.blobPath(desc.Digest))
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() != desc.Size {
		return fmt.Errorf("blob %s: %w", desc.Digest, errMissingBlob)
	}
	return err
}

// Tag gives the image src names the name dst, which must have a tag.
func (s *Store) Tag(ctx context.Context, src, dst Reference) error {
	if err := joined.Errors(src.check(), dst.check()); err != nil {
		return err
	}
	if dst.tag == "" {
		return fmt.Errorf("%w %q: a new name needs a tag", ErrReference, dst)
	}
	return s.update(ctx, func(index *ocispec.Index) (func() error, error) {
		m, err := s.Manifest(ctx, src)
		if err != nil {
			return nil, err
		}
		head, err := checkManifest(dst, m)
		if err != nil {
			return nil, err
		}
		entry := m.Descriptor
		entry.Annotations = s.entryAnnotations(dst, m, head)
		book := nameBook{s: s, index: index}
		if err := book.carry(&entry, dst); err != nil {
			return nil, err
		}
		book.tagged(&entry, src, dst)
		setEntry(index, entry)
		return nil, nil
	})
}

// mountSources says which repository of ref's registry, by the names in the
// store, is likely to have a blob already.
func (s *Store) mountSources(ref Reference) map[digest.Digest]string {
	index, err := s.loadIndex()
	if err != nil {
		return nil
	}
	sources := map[digest.Digest]string{}
	for _, entry := range index.Manifests {
		known, ok := entryReference(entry)
		if !ok || known.registry != ref.registry || known.repository == ref.repository {
			continue
		}
		below, err := s.below(entry.Digest)
		if err != nil {
			continue
		}
		for d := range below {
			sources[d] = known.repository
		}
	}
	return sources
}
