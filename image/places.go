// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// Places opens locations, with a registry client and a local store for those
// that need one.
type Places struct {
	Registry *Registry
	Store    *Store
}

// Origin is a location opened for reading. The caller closes it.
type Origin struct {
	Source Source
	// Ref is what to ask Source for.
	Ref Reference
	// Named says that Ref's repository and tag are the image's own, and not a
	// stand-in for an image that has a tag or no name at all.
	Named bool
	close func() error
}

// Name is the image's own name, if it has one: Ref with its tag alone, or with
// its digest if it has no tag.
func (o *Origin) Name() Reference {
	return ArchivedImage{Ref: o.Ref}.Reference()
}

// Close ends the use of Source.
func (o *Origin) Close() error { return o.close() }

// Target is a location opened for writing. The caller closes it.
type Target struct {
	Sink Sink
	// Ref is what to store the image as.
	Ref    Reference
	commit func(context.Context) error
	close  func() error
}

// Commit puts what was written in its place, where that is not done at once.
func (t *Target) Commit(ctx context.Context) error { return t.commit(ctx) }

// Close ends the use of Sink. Without Commit before, an archive is not written.
func (t *Target) Close() error { return t.close() }

// ErrLosesDigest: the format to write holds no manifest, so that whoever reads
// the image again gets another digest, which no signature fits.
var ErrLosesDigest = errors.New("the format cannot keep the image's digest")

func nothingToClose() error                 { return nil }
func nothingToCommit(context.Context) error { return nil }

// Origin opens l for reading.
func (p Places) Origin(ctx context.Context, l Location) (*Origin, error) {
	switch l.Transport {
	case TransportRegistry:
		return &Origin{Source: p.Registry, Ref: l.Reference, Named: true, close: nothingToClose}, nil
	case TransportStore:
		return &Origin{Source: p.Store, Ref: l.Reference, Named: true, close: nothingToClose}, nil
	}
	a, err := OpenLocation(ctx, l)
	if err != nil {
		return nil, err
	}
	return OriginOf(ctx, a, l.Transport+":"+l.Path, l.Name)
}

// OriginOf is the image of an archive that is called name, or selected by
// "@sha256:…" or "@N"; with "" the only one. where names the archive for errors. The
// archive is closed with the origin, and on failure.
func OriginOf(ctx context.Context, a Archive, where, name string) (*Origin, error) {
	im, err := choose(ctx, a, where, name)
	if err != nil {
		return nil, joined.Errors(err, a.Close())
	}
	return &Origin{Source: a, Ref: im.Ref, Named: im.Full, close: a.Close}, nil
}

// OpenLocation opens the folder or file l names, whatever image of it.
func OpenLocation(ctx context.Context, l Location) (Archive, error) {
	var (
		a   Archive
		err error
	)
	switch l.Transport {
	case TransportLayout:
		a, err = openLayoutDir(l.Path)
	case TransportLayoutArchive:
		a, err = openArchive(ctx, l.Path, l.Transport+":"+l.Path, layoutForm)
	case TransportDockerArchive:
		a, err = openArchive(ctx, l.Path, l.Transport+":"+l.Path, dockerForm)
	default:
		return nil, fmt.Errorf("%w: %s is no folder or file with images", ErrReference, l)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s:%s: %w", l.Transport, l.Path, err)
	}
	return a, nil
}

// Target opens l for writing. A docker archive is [ErrLosesDigest].
func (p Places) Target(l Location) (*Target, error) {
	switch l.Transport {
	case TransportRegistry:
		return &Target{Sink: p.Registry.WithoutMirrors(), Ref: l.Reference, commit: nothingToCommit, close: nothingToClose}, nil
	case TransportStore:
		return &Target{Sink: p.Store, Ref: l.Reference, commit: nothingToCommit, close: nothingToClose}, nil
	case TransportLayout:
		w, err := newLayoutWriter(l.Path, l.Name)
		if err != nil {
			return nil, err
		}
		return &Target{Sink: w, Ref: w.root, commit: nothingToCommit, close: nothingToClose}, nil
	case TransportLayoutArchive:
		return archiveTarget(l)
	case TransportDockerArchive:
		return nil, fmt.Errorf("writing %s: %w: it would be given another one, and no signature fits that; write oci-archive:%s, which skopeo and podman read too",
			l, ErrLosesDigest, l.Path)
	}
	return nil, fmt.Errorf("%w: unknown transport %q", ErrReference, l.Transport)
}

// archiveTarget writes a layout of one image into one file.
func archiveTarget(l Location) (*Target, error) {
	archive, err := newArchiveWriter(l.Path)
	if err != nil {
		return nil, err
	}
	w, err := newLayoutWriter(filepath.Join(archive.dir, "layout"), l.Name)
	if err != nil {
		return nil, joined.Errors(err, archive.close())
	}
	archive.store = w.Store
	return &Target{Sink: w, Ref: w.root, commit: archive.commit, close: archive.close}, nil
}
