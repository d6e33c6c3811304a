// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxReferrerScan bounds the bytes of manifests read to find those with a
	// subject: layouts have no list of referrers.
	maxReferrerScan = 64 << 20
	// maxUnlisted bounds the size of a manifest that index.json does not list, in
	// bytes. It is far above any referrer's, and below most other blobs.
	maxUnlisted = 256 << 10
)

// annotationContainerd is where docker save (25 and later), buildx and containerd's
// own export keep an image's whole name: theirs of the specification holds the tag
// alone (containerd, core/images/annotations.go).
const annotationContainerd = "io.containerd.image.name"

// How cosign save says in index.json what is what (sigstore/cosign,
// pkg/oci/layout/index.go). Such a folder has one image, and its signatures and
// attestations of the older form, without names. Bundles are in it too, but are not
// listed: every image that cosign writes there makes a new list.
const (
	annotationCosignKind = "kind"
	cosignImage          = "dev.cosignproject.cosign/image"
	cosignIndex          = "dev.cosignproject.cosign/imageIndex"
)

// cosignSuffixes are the suffixes of the tags that hold in a registry what an entry
// of a kind holds in a folder of cosign save.
var cosignSuffixes = map[string]string{
	"dev.cosignproject.cosign/sigs": ".sig",
	"dev.cosignproject.cosign/atts": ".att",
}

// layoutEntry is a manifest that index.json lists.
type layoutEntry struct {
	ocispec.Descriptor
	// place is where it stands in index.json, from 0.
	place int
}

func (e layoutEntry) name() string { return e.Annotations[ocispec.AnnotationRefName] }

// cosignKind is what cosign says it is; "" where somebody else wrote it.
func (e layoutEntry) cosignKind() string { return e.Annotations[annotationCosignKind] }

// parseLayoutIndex drops entries that are no manifests, such as a config that
// the specification allows there.
func parseLayoutIndex(data []byte) ([]layoutEntry, error) {
	var index ocispec.Index
	if err := boundedjson.Unmarshal(data, &index); err != nil {
		return nil, malformed("it is not an index: %w", err)
	}
	if len(index.Manifests) > maxLayoutEntries {
		return nil, fmt.Errorf("it has %d entries, at most %d are allowed: %w", len(index.Manifests), maxLayoutEntries, ErrTooLarge)
	}
	var entries []layoutEntry
	for i, entry := range index.Manifests {
		if kindOf(entry.MediaType) != kindUnknown && checkDescriptor(entry, MaxManifest) == nil {
			entries = append(entries, layoutEntry{entry, i})
		}
	}
	return entries, nil
}

// Images implements [Archive]. Left out is what belongs to another entry: tools
// such as oras list the images of an index, and referrers, beside what they are of.
func (l *layout) Images() []ArchivedImage {
	found, _ := l.scan() // Referrers says what is wrong
	var images []ArchivedImage
	for _, entry := range l.entries {
		name := entry.name()
		if attachmentTag().MatchString(name) || cosignSuffixes[entry.cosignKind()] != "" || name == "" && found.below[entry.Digest] {
			continue
		}
		im := newArchivedImage(name, entry.Annotations[annotationContainerd], entry.Digest.String())
		im.Place = entry.place
		images = append(images, im)
	}
	return images
}

// cosignAttached finds what cosign would keep in a registry under a tag like
// sha256-….sig. It belongs to the image before it.
func (l *layout) cosignAttached(tag string) (layoutEntry, bool) {
	var image layoutEntry
	for _, entry := range l.entries {
		switch kind := entry.cosignKind(); {
		case kind == cosignImage || kind == cosignIndex:
			image = entry
		case cosignSuffixes[kind] != "" && image.Digest != "" && tag == tagOf(image.Digest)+cosignSuffixes[kind]:
			return entry, true
		}
	}
	return layoutEntry{}, false
}

// tagOf is the tag of the referrers tag schema for a digest, which cosign 2's begin
// with, too.
func tagOf(d digest.Digest) string { return d.Algorithm().String() + "-" + d.Encoded() }

// layoutScan is what the manifests of a layout say of each other.
type layoutScan struct {
	// subjects are the referrers by the digest of their subject.
	subjects map[digest.Digest][]ocispec.Descriptor
	// below are referrers, and the images in indexes.
	below map[digest.Digest]bool
}

// scanManifests reads the manifests in index.json, those in the indexes under
// fallback tags, and in a folder of cosign's those that are not listed. What cannot
// be read is left out, as everything else anyone could have put there.
func (l *layout) scanManifests() (layoutScan, error) {
	found := layoutScan{subjects: map[digest.Digest][]ocispec.Descriptor{}, below: map[digest.Digest]bool{}}
	var queue []ocispec.Descriptor
	fallback := map[digest.Digest]bool{}
	for _, entry := range l.entries {
		queue = append(queue, entry.Descriptor)
		fallback[entry.Digest] = fallback[entry.Digest] || attachmentTag().MatchString(entry.name())
	}
	seen := map[digest.Digest]bool{}
	budget := int64(maxReferrerScan)
	for len(queue) > 0 {
		entry := queue[0]
		queue = queue[1:]
		if seen[entry.Digest] || checkDescriptor(entry, MaxManifest) != nil {
			continue
		}
		seen[entry.Digest] = true
		if budget -= entry.Size; budget < 0 || len(seen) > 2*maxLayoutEntries {
			return layoutScan{}, fmt.Errorf("its manifests are over %d bytes in all: %w", maxReferrerScan, ErrTooLarge)
		}
		data, err := l.content(entry.Digest, entry.Size)
		if err != nil {
			continue
		}
		children := found.add(data, entry.Digest)
		if fallback[entry.Digest] {
			queue = append(queue, children...)
			continue
		}
		for _, child := range children {
			found.below[child.Digest] = true
		}
	}
	return found, l.scanUnlisted(found, seen, budget)
}

// add takes in the manifest that d names, and returns its children.
func (s layoutScan) add(data []byte, d digest.Digest) (children []ocispec.Descriptor) {
	subject, desc, children := readSubject(data, d)
	if subject != "" {
		s.subjects[subject] = append(s.subjects[subject], desc)
		s.below[desc.Digest] = true
	}
	return children
}

// scanUnlisted looks for the bundles in a folder of cosign's, as cosign does: at
// all blobs.
func (l *layout) scanUnlisted(found layoutScan, seen map[digest.Digest]bool, budget int64) error {
	ofCosign := false
	for _, entry := range l.entries {
		ofCosign = ofCosign || strings.HasPrefix(entry.cosignKind(), "dev.cosignproject.cosign/")
	}
	if !ofCosign {
		return nil
	}
	names, err := l.files.list(ocispec.ImageBlobsDir+"/"+digest.SHA256.String(), 2*maxLayoutEntries)
	if err != nil {
		return err
	}
	for _, name := range names {
		d := digest.NewDigestFromEncoded(digest.SHA256, name)
		if seen[d] || checkDigest(d.String()) != nil {
			continue
		}
		data, err := l.content(d, maxUnlisted)
		if err != nil || len(data) == 0 || data[0] != '{' {
			continue
		}
		if budget -= int64(len(data)); budget < 0 {
			return fmt.Errorf("its manifests are over %d bytes in all: %w", maxReferrerScan, ErrTooLarge)
		}
		found.add(data, d)
	}
	return nil
}

// readSubject returns, of the manifest that d names, the subject ("" without one), the
// descriptor as a list of referrers has it, and the children.
func readSubject(data []byte, d digest.Digest) (subject digest.Digest, desc ocispec.Descriptor, children []ocispec.Descriptor) {
	m, err := newManifest(data, "", d)
	if err != nil {
		return "", desc, nil
	}
	head, err := parseHead(data)
	if err != nil {
		return "", desc, nil
	}
	var links manifestLinks
	if kindOf(m.Descriptor.MediaType) == kindIndex && boundedjson.Unmarshal(data, &links) == nil {
		children = links.Manifests
	}
	if head.Subject == nil || checkDigest(head.Subject.Digest.String()) != nil {
		return "", desc, children
	}
	desc = m.Descriptor
	desc.ArtifactType = head.artifactKind()
	desc.Annotations = head.Annotations
	return head.Subject.Digest, desc, children
}
