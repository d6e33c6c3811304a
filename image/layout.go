// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/lazyregexp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// maxLayoutEntries bounds index.json of a layout that others wrote.
	maxLayoutEntries = 4096
	// maxReferrerScan bounds the bytes of manifests read to find those with a
	// subject: layouts have no list of referrers.
	maxReferrerScan = 64 << 20
)

// annotationContainerd is where docker save (25 and later), buildx and containerd's
// own export keep an image's whole name: theirs of the specification holds the tag
// alone (containerd, core/images/annotations.go).
const annotationContainerd = "io.containerd.image.name"

// attachmentTag are the tags that attach something to a digest: the referrers
// tag schema of the OCI distribution spec, and cosign 2's.
var attachmentTag = lazyregexp.New(`(?:^|:)sha256-[0-9a-f]{64}(?:\.[a-z]+)?$`)

// layoutFiles are the files of an image layout, wherever they are.
type layoutFiles interface {
	// read returns the content of a file, whose name uses slashes. [ErrNotFound]
	// if there is none, [ErrTooLarge] if it is over limit bytes.
	read(name string, limit int64) ([]byte, error)
}

// layout is an OCI image layout that others wrote, read-only.
type layout struct {
	files   layoutFiles
	closer  io.Closer
	where   string
	entries []ocispec.Descriptor
	// subjects are the referrers by the digest of their subject.
	subjects func() (map[digest.Digest][]ocispec.Descriptor, error)
}

var _ Archive = (*layout)(nil)

// newLayout reads index.json. closer is closed with the layout.
func newLayout(files layoutFiles, closer io.Closer, where string) (*layout, error) {
	l := &layout{files: files, closer: closer, where: where}
	l.subjects = sync.OnceValues(l.scanSubjects)
	data, err := files.read(ocispec.ImageLayoutFile, MaxConfig)
	if errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("%s is not an OCI image layout: it has no file %s: %w", where, ocispec.ImageLayoutFile, err)
	}
	if err != nil {
		return nil, err
	}
	var head ocispec.ImageLayout
	if err := boundedjson.Unmarshal(data, &head); err != nil || head.Version != ocispec.ImageLayoutVersion {
		return nil, malformed("%s: %s does not say imageLayoutVersion %s", where, ocispec.ImageLayoutFile, ocispec.ImageLayoutVersion)
	}
	if data, err = files.read(ocispec.ImageIndexFile, MaxManifest); err != nil {
		return nil, err
	}
	l.entries, err = parseLayoutIndex(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", where, ocispec.ImageIndexFile, err)
	}
	return l, nil
}

// parseLayoutIndex drops entries that are no manifests, such as a config that
// the specification allows there.
func parseLayoutIndex(data []byte) ([]ocispec.Descriptor, error) {
	var index ocispec.Index
	if err := boundedjson.Unmarshal(data, &index); err != nil {
		return nil, malformed("it is not an index: %w", err)
	}
	if len(index.Manifests) > maxLayoutEntries {
		return nil, fmt.Errorf("it has %d entries, at most %d are allowed: %w", len(index.Manifests), maxLayoutEntries, ErrTooLarge)
	}
	var entries []ocispec.Descriptor
	for _, entry := range index.Manifests {
		if kindOf(entry.MediaType) != kindUnknown && checkDescriptor(entry, MaxManifest) == nil {
			entries = append(entries, entry)
		}
	}
	return entries, nil
}

// Close implements [Archive].
func (l *layout) Close() error { return l.closer.Close() }

// KeepsDigests implements [Archive].
func (l *layout) KeepsDigests() bool { return true }

// Images implements [Archive].
func (l *layout) Images() []ArchivedImage {
	attached := map[digest.Digest]bool{}
	if subjects, err := l.subjects(); err == nil { // Referrers says what is wrong with them
		for _, list := range subjects {
			for _, desc := range list {
				attached[desc.Digest] = true
			}
		}
	}
	var images []ArchivedImage
	for _, entry := range l.entries {
		name := entry.Annotations[ocispec.AnnotationRefName]
		if attachmentTag().MatchString(name) || name == "" && attached[entry.Digest] {
			continue
		}
		images = append(images, newArchivedImage(name, entry.Annotations[annotationContainerd], entry.Digest.String()))
	}
	return images
}

// Manifest implements [Source]. A tag is found under the whole reference or, as
// skopeo and others write layouts, alone.
func (l *layout) Manifest(ctx context.Context, ref Reference) (Manifest, error) {
	m, err := l.manifest(ctx, ref)
	if err != nil {
		return Manifest{}, fmt.Errorf("reading a manifest from %s: %w", l.where, err)
	}
	return m, nil
}

func (l *layout) manifest(ctx context.Context, ref Reference) (Manifest, error) {
	if err := joined.Errors(ctx.Err(), ref.check()); err != nil {
		return Manifest{}, err
	}
	if ref.digest != "" {
		return l.manifestAt(digest.Digest(ref.digest))
	}
	for _, name := range []string{ref.String(), ref.tag} {
		for _, entry := range l.entries {
			if entry.Annotations[ocispec.AnnotationRefName] == name {
				return l.manifestAt(entry.Digest)
			}
		}
	}
	return Manifest{}, fmt.Errorf("no image %q: %w", ref.tag, ErrNotFound)
}

func (l *layout) manifestAt(d digest.Digest) (Manifest, error) {
	data, err := l.content(d, MaxManifest)
	if err != nil {
		return Manifest{}, err
	}
	return newManifest(data, "")
}

// content reads the blob with a digest and hashes it.
func (l *layout) content(d digest.Digest, limit int64) ([]byte, error) {
	if err := checkDigest(d.String()); err != nil {
		return nil, err
	}
	data, err := l.files.read(ocispec.ImageBlobsDir+"/"+d.Algorithm().String()+"/"+d.Encoded(), limit)
	if err != nil {
		return nil, err
	}
	if digest.FromBytes(data) != d {
		return nil, fmt.Errorf("%s: %w", d, ErrDigestMismatch)
	}
	return data, nil
}

// Blob implements [Source].
func (l *layout) Blob(ctx context.Context, _ Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	data, err := l.blob(ctx, desc, limit)
	if err != nil {
		return nil, fmt.Errorf("reading a blob from %s: %w", l.where, err)
	}
	return data, nil
}

func (l *layout) blob(ctx context.Context, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if err := joined.Errors(ctx.Err(), checkDescriptor(desc, limit)); err != nil {
		return nil, err
	}
	data, err := l.content(desc.Digest, desc.Size)
	if errors.Is(err, ErrTooLarge) {
		return nil, fmt.Errorf("%s is longer than %d bytes: %w", desc.Digest, desc.Size, ErrDigestMismatch)
	}
	if err != nil {
		return nil, err
	}
	return data, checkContent(data, desc)
}

// Referrers implements [Source].
func (l *layout) Referrers(ctx context.Context, ref Reference) ([]ocispec.Descriptor, error) {
	if err := joined.Errors(ctx.Err(), ref.check()); err != nil {
		return nil, err
	}
	if ref.digest == "" {
		return nil, fmt.Errorf("listing the referrers of %s in %s: %w: it has no digest", ref, l.where, ErrReference)
	}
	subjects, err := l.subjects()
	if err != nil {
		return nil, fmt.Errorf("listing the referrers in %s: %w", l.where, err)
	}
	return saneReferrers(subjects[digest.Digest(ref.digest)]), nil
}

// scanSubjects reads the manifests in index.json, and those in the indexes under
// fallback tags, and sorts those with a subject by it. What cannot be read is
// left out, as everything else anyone could have put there.
func (l *layout) scanSubjects() (map[digest.Digest][]ocispec.Descriptor, error) {
	subjects := map[digest.Digest][]ocispec.Descriptor{}
	seen := map[digest.Digest]bool{}
	budget := int64(maxReferrerScan)
	queue := l.entries
	for len(queue) > 0 {
		entry := queue[0]
		queue = queue[1:]
		if seen[entry.Digest] || checkDescriptor(entry, MaxManifest) != nil {
			continue
		}
		seen[entry.Digest] = true
		if budget -= entry.Size; budget < 0 || len(seen) > 2*maxLayoutEntries {
			return nil, fmt.Errorf("its manifests are over %d bytes in all: %w", maxReferrerScan, ErrTooLarge)
		}
		data, err := l.content(entry.Digest, entry.Size)
		if err != nil {
			continue
		}
		subject, desc, children := readSubject(data)
		if subject != "" {
			subjects[subject] = append(subjects[subject], desc)
		}
		if attachmentTag().MatchString(entry.Annotations[ocispec.AnnotationRefName]) {
			queue = append(queue, children...)
		}
	}
	return subjects, nil
}

// readSubject returns a manifest's subject ("" without one), the manifest's
// descriptor as a list of referrers has it, and its children.
func readSubject(data []byte) (subject digest.Digest, desc ocispec.Descriptor, children []ocispec.Descriptor) {
	m, err := newManifest(data, "")
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
