// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// What the local store records in index.json beside names and subjects. Each is a
// list of at most maxRecorded words with spaces between them, the newest last.
// Versions that do not know them ignore them.
const (
	// annotationNames of a referrer: the repositories ("localhost:5000/xdp-counter")
	// it came with or was made for. Older versions did not write it.
	annotationNames = "dev.bpfimg.referrer.names"
	// annotationFrom of a name: the repositories whose images it was tagged from.
	annotationFrom = "dev.bpfimg.tagged.from"
	// annotationWhole of a name: the digests of images below it that were fetched with
	// all that was attached to them then.
	annotationWhole = "dev.bpfimg.attachments.whole"

	maxRecorded = 16
)

func recorded(entry ocispec.Descriptor, key string) []string {
	return strings.Fields(entry.Annotations[key])
}

// record adds words to a list. Over the limit it forgets the oldest: what is not
// recorded is pushed nowhere, and fetched once more.
func record(entry *ocispec.Descriptor, key string, words ...string) {
	list := recorded(*entry, key)
	for _, word := range words {
		list = append(slices.DeleteFunc(list, func(w string) bool { return w == word }), word)
	}
	if len(list) == 0 {
		return
	}
	annotations := map[string]string{}
	maps.Copy(annotations, entry.Annotations)
	annotations[key] = strings.Join(list[max(0, len(list)-maxRecorded):], " ")
	entry.Annotations = annotations
}

// nameBook is what index.json records, while it changes.
type nameBook struct {
	s     *Store
	index *ocispec.Index
	// owners is for referrers without a record; nil before it is needed.
	owners map[digest.Digest][]Reference
}

// carry adds to a new entry what the one it replaces records, and to a referrer the
// repository it is put for.
func (b *nameBook) carry(entry *ocispec.Descriptor, ref Reference) error {
	if !b.s.records {
		return nil
	}
	name := entry.Annotations[ocispec.AnnotationRefName]
	i := slices.IndexFunc(b.index.Manifests, func(old ocispec.Descriptor) bool {
		return old.Digest == entry.Digest && old.Annotations[ocispec.AnnotationRefName] == name
	})
	if i >= 0 {
		old := b.index.Manifests[i]
		for _, key := range []string{annotationFrom, annotationWhole} {
			record(entry, key, recorded(old, key)...)
		}
		if isReferrer(old) {
			names, err := b.namesOf(old)
			if err != nil {
				return err
			}
			record(entry, annotationNames, names...)
		}
	}
	if isReferrer(*entry) {
		record(entry, annotationNames, ref.Name())
	}
	return nil
}

func isReferrer(entry ocispec.Descriptor) bool { return entry.Annotations[annotationSubject] != "" }

// namesOf says for which repositories a referrer was made. Of one without a record
// that is known only if a single repository has what it refers to.
func (b *nameBook) namesOf(entry ocispec.Descriptor) ([]string, error) {
	if names := recorded(entry, annotationNames); len(names) > 0 {
		return names, nil
	}
	if b.owners == nil {
		owners, err := b.s.owners(b.index)
		if err != nil {
			return nil, err
		}
		b.owners = owners
	}
	var names []string
	for _, ref := range b.owners[entry.Digest] {
		if !slices.Contains(names, ref.Name()) {
			names = append(names, ref.Name())
		}
	}
	if len(names) != 1 {
		return nil, nil
	}
	return names, nil
}

// markWhole records at ref's names of the image with digest d that all is there that
// is attached to the images listed.
func (b *nameBook) markWhole(ref Reference, d digest.Digest, images []digest.Digest) {
	if !b.s.records {
		return
	}
	for i := range b.index.Manifests {
		if entry := &b.index.Manifests[i]; entry.Digest == d && inRepository(*entry, ref) {
			for _, image := range images {
				record(entry, annotationWhole, image.String())
			}
		}
	}
}

// forgetWhole forgets that all is there of the images in ref's repository: something
// that cosign 2 attached by a tag was removed.
func (b *nameBook) forgetWhole(ref Reference) {
	for i := range b.index.Manifests {
		if entry := &b.index.Manifests[i]; entry.Annotations[annotationWhole] != "" && inRepository(*entry, ref) {
			entry.Annotations = maps.Clone(entry.Annotations)
			delete(entry.Annotations, annotationWhole)
		}
	}
}

// tagged records at entry, the new name dst, where its image was known before.
func (b *nameBook) tagged(entry *ocispec.Descriptor, src, dst Reference) {
	if !b.s.records {
		return
	}
	for _, name := range lineage(*b.index, src) {
		if name != dst.Name() {
			record(entry, annotationFrom, name)
		}
	}
}

// inRepository says whether entry is a name of ref's repository.
func inRepository(entry ocispec.Descriptor, ref Reference) bool {
	known, ok := entryReference(entry)
	return ok && known.Name() == ref.Name()
}

// Whole says whether the images with the given digests, which ref names or an index that
// ref names, were stored with all that was attached to them then, by a [Copy] with
// CopyOptions.Whole, whether the manifests of that are still intact, and whether nobody
// has since left something where it is that he had no need of ([Unasked]).
func (s *Store) Whole(ctx context.Context, ref Reference, images ...digest.Digest) (bool, error) {
	index, err := s.loadIndex()
	if err := joined.Errors(ctx.Err(), ref.check(), err); err != nil {
		return false, fmt.Errorf("reading from the local store what is known of %s: %w", ref, err)
	}
	i := slices.IndexFunc(index.Manifests, func(entry ocispec.Descriptor) bool { return means(entry, ref) })
	if i < 0 {
		return false, nil
	}
	list := recorded(index.Manifests[i], annotationWhole)
	for _, image := range images {
		if !slices.Contains(list, image.String()) {
			return false, nil
		}
		left, err := s.Unasked(ctx, ref.WithDigest(image.String()))
		if ctx.Err() != nil {
			return false, err
		}
		if err != nil || left.Needless && !left.None() {
			return false, nil
		}
	}
	damaged := slices.ContainsFunc(index.Manifests, func(entry ocispec.Descriptor) bool {
		if !attachedTo(entry, ref, images) {
			return false
		}
		_, err := s.manifestAt(entry.Digest, MaxManifest)
		return err != nil
	})
	return !damaged, nil
}

// attachedTo says whether entry is a referrer of one of the images, or what cosign 2
// attached to one by a tag in ref's repository.
func attachedTo(entry ocispec.Descriptor, ref Reference, images []digest.Digest) bool {
	return slices.ContainsFunc(images, func(image digest.Digest) bool {
		if entry.Annotations[annotationSubject] == image.String() {
			return true
		}
		tag := fallbackTag(ref.WithDigest(image.String())).tag
		known, ok := entryReference(entry)
		return ok && known.Name() == ref.Name() && strings.HasPrefix(known.tag, tag+".")
	})
}

// means says whether entry is the name ref or, if that has a digest, a name of it in
// the same repository.
func means(entry ocispec.Descriptor, ref Reference) bool {
	if ref.digest != "" {
		return entry.Digest.String() == ref.digest && inRepository(entry, ref)
	}
	return entry.Annotations[ocispec.AnnotationRefName] == ref.String()
}

// PushOptions are the [CopyOptions] to copy ref from this store to where ref is: with
// the attachments that came with its repository or were made for it, or for one
// that ref was tagged from. left is told of those that are left out. With all, none
// is.
func (s *Store) PushOptions(ctx context.Context, ref Reference, all bool, left func(ocispec.Descriptor)) (CopyOptions, error) {
	opts := CopyOptions{Referrers: true}
	index, err := s.loadIndex()
	if err := joined.Errors(ctx.Err(), ref.check(), err); err != nil {
		return opts, fmt.Errorf("reading from the local store what is attached to %s: %w", ref, err)
	}
	if all {
		return opts, nil
	}
	names := lineage(index, ref)
	for _, name := range names[1:] {
		if from, err := ParseReference(name); err == nil {
			opts.AlsoFrom = append(opts.AlsoFrom, from)
		}
	}
	book := nameBook{s: s, index: &index}
	ours := map[digest.Digest]bool{}
	for _, entry := range index.Manifests {
		if !isReferrer(entry) {
			continue
		}
		made, err := book.namesOf(entry)
		if err != nil {
			return opts, err
		}
		if slices.ContainsFunc(made, func(name string) bool { return slices.Contains(names, name) }) {
			ours[entry.Digest] = true
		}
	}
	opts.Attached = func(desc ocispec.Descriptor) bool {
		if !ours[desc.Digest] {
			left(desc)
		}
		return ours[desc.Digest]
	}
	return opts, nil
}

// lineage lists ref's repository and those its image was tagged from.
func lineage(index ocispec.Index, ref Reference) []string {
	names := []string{ref.Name()}
	for _, entry := range index.Manifests {
		if !means(entry, ref) {
			continue
		}
		for _, name := range recorded(entry, annotationFrom) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// legacyRepositories are the other repositories with manifests that cosign 2 attached
// by tag to any image.
func (s *Store) legacyRepositories(ref Reference) (list []Reference) {
	index, err := s.loadIndex()
	if err != nil {
		return nil // whoever reads it next says so
	}
	seen := map[string]bool{ref.Name(): true}
	for _, entry := range index.Manifests {
		known, ok := entryReference(entry)
		if ok && !seen[known.Name()] && IsAttachmentTag(known.tag) {
			seen[known.Name()] = true
			list = append(list, known.WithTag(""))
		}
	}
	return list
}
