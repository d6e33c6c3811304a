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
)

// attachmentTag are the tags that attach something to a digest: the referrers
// tag schema of the OCI distribution spec, and cosign 2's.
var attachmentTag = lazyregexp.New(`(?:^|:)(?:sha256|sha512)-[0-9a-f]{64}(?:\.[a-z]+)?$`)

// layoutFiles are the files of an image layout, wherever they are.
type layoutFiles interface {
	// read returns the content of a file, whose name uses slashes. [ErrNotFound]
	// if there is none, [ErrTooLarge] if it is over limit bytes.
	read(name string, limit int64) ([]byte, error)
	// list returns the names in a folder, sorted; none if there is no such folder.
	// [ErrTooLarge] if there are over limit.
	list(folder string, limit int) ([]string, error)
}

// layout is an OCI image layout that others wrote, read-only.
type layout struct {
	files   layoutFiles
	closer  io.Closer
	where   string
	entries []layoutEntry
	// scan looks at all manifests, once.
	scan func() (layoutScan, error)
}

var _ Archive = (*layout)(nil)

// newLayout reads index.json. closer is closed with the layout.
func newLayout(files layoutFiles, closer io.Closer, where string) (*layout, error) {
	l := &layout{files: files, closer: closer, where: where}
	l.scan = sync.OnceValues(l.scanManifests)
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

// Close implements [Archive].
func (l *layout) Close() error { return l.closer.Close() }

// KeepsDigests implements [Archive].
func (l *layout) KeepsDigests() bool { return true }

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
		return l.manifestAt(digest.Digest(ref.digest), manifestLimit(ctx))
	}
	for _, name := range []string{ref.String(), ref.tag} {
		for _, entry := range l.entries {
			if entry.name() == name {
				return l.manifestAt(entry.Digest, manifestLimit(ctx))
			}
		}
	}
	if entry, ok := l.cosignAttached(ref.tag); ok {
		return l.manifestAt(entry.Digest, manifestLimit(ctx))
	}
	return Manifest{}, fmt.Errorf("no image %q: %w", ref.tag, ErrNotFound)
}

// lacksLayers says whether an image of the layout has no layers at all, or there is
// no image.
func (l *layout) lacksLayers(ctx context.Context) bool {
	images := l.Images()
	for _, im := range images {
		m, err := l.manifest(ctx, im.Ref)
		if err != nil || kindOf(m.Descriptor.MediaType) != kindImage {
			continue
		}
		if blobs, err := blobsOf(m); err == nil && len(blobs) == 1 { // the config
			return true
		}
	}
	return len(images) == 0
}

func (l *layout) manifestAt(d digest.Digest, limit int64) (Manifest, error) {
	data, err := l.content(d, limit)
	if err != nil {
		return Manifest{}, err
	}
	return newManifest(data, "", d)
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
	if !isNamed(data, d) {
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
	found, err := l.scan()
	if err != nil {
		return nil, fmt.Errorf("listing the referrers in %s: %w", l.where, err)
	}
	return saneReferrers(found.subjects[digest.Digest(ref.digest)]), nil
}
