// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/bpfimg/bpfimg/internal/joined"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Archive is a [Source] that holds a known set of images: a folder or file in
// one of the forms other tools write. It is foreign input: it is read under
// limits, hashed, and never unpacked.
type Archive interface {
	Source
	io.Closer
	// KeepsDigests is false of docker archives, which hold no manifests: those
	// this package makes for them have digests that nobody signed.
	KeepsDigests() bool
	// Images lists what can be asked for by name, without referrers and the
	// signatures of cosign 2, in the archive's order.
	Images() []ArchivedImage
}

// ArchivedImage is one name in an [Archive].
type ArchivedImage struct {
	// Name as it is written there: a tag, a whole reference or "". Foreign text.
	Name string
	// Ref is what to ask the archive's [Source] for. Its digest is the image's;
	// registry and repository are those of Name, or a stand-in where Name is no
	// whole reference.
	Ref Reference
	// Full says that Name is a whole reference.
	Full bool
	// Place is where it stands in the archive's list of images, from 0: skopeo's @N.
	Place int
}

// standIn is the repository of images whose archive does not name one.
var standIn = Reference{registry: "localhost", repository: "archive"}

// Reference is the image's whole name: with its tag alone if it has one, as it
// was written there.
func (im ArchivedImage) Reference() Reference {
	if im.Ref.tag != "" {
		return im.Ref.WithTag(im.Ref.tag)
	}
	return im.Ref
}

// newArchivedImage reads a name for what has the digest, or where that is no whole
// reference another one.
func newArchivedImage(name, other, digest string) ArchivedImage {
	im := ArchivedImage{Name: name, Ref: standIn}
	for _, text := range []string{name, other} {
		if ref, ok := fullName(text); ok && (ref.digest == "" || ref.digest == digest) {
			im.Ref, im.Full = ref, true
			break
		}
	}
	im.Ref.digest = digest
	return im
}

// fullName reads a name that has a repository, and not just a tag.
func fullName(name string) (Reference, bool) {
	if name == "" || checkTag(name) == nil {
		return Reference{}, false
	}
	ref, err := ParseReference(name)
	return ref, err == nil
}

// OpenArchive opens a file that `bpfimg save`, skopeo, podman save or docker
// save wrote, whichever form it has, or a folder that is an image layout. An image
// layout wins over docker's list where a file has both, because it keeps the digests.
func OpenArchive(ctx context.Context, file string) (Archive, error) {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		l, err := openLayoutDir(file)
		if err != nil { // l is no nil Archive then
			return nil, fmt.Errorf("opening the folder %s: %w", file, err)
		}
		return l, nil
	}
	f, err := openArchiveFile(ctx, file)
	if err == nil {
		var a Archive
		if a, err = f.archive(ctx, file, bestForm); err == nil {
			return a, nil
		}
	}
	return nil, fmt.Errorf("opening the archive %s: %w", file, err)
}

// ReadArchive is [OpenArchive] for what comes from a pipe. As only a file can be
// read at any place, all of it is kept in a temporary one in dir until the archive
// is closed; where names in is for errors.
func ReadArchive(ctx context.Context, in io.Reader, dir, where string) (Archive, error) {
	f, err := readArchiveFile(ctx, in, dir)
	if err == nil {
		var a Archive
		if a, err = f.archive(ctx, where, bestForm); err == nil {
			return a, nil
		}
	}
	return nil, fmt.Errorf("reading an archive from %s: %w", where, err)
}

// archiveForm reads the entries of an archive as one of the forms. closer is closed
// with what it returns.
type archiveForm func(ctx context.Context, files *tarFiles, closer io.Closer, where string) (Archive, error)

// The forms that a location names.
func layoutForm(_ context.Context, files *tarFiles, closer io.Closer, where string) (Archive, error) {
	return newLayout(files, closer, where)
}

func dockerForm(ctx context.Context, files *tarFiles, closer io.Closer, where string) (Archive, error) {
	return newDockerArchive(ctx, files, closer, where)
}

// bestForm is a layout if it is one. docker 25.0.0 wrote layouts without images
// (moby/moby#47210), or with images that have no layers (moby/moby#47065); then its
// own list, which has them, counts.
func bestForm(ctx context.Context, files *tarFiles, closer io.Closer, where string) (Archive, error) {
	if _, ok := files.files[ocispec.ImageLayoutFile]; !ok {
		return newDockerArchive(ctx, files, closer, where)
	}
	l, err := newLayout(files, closer, where)
	if err != nil {
		return nil, err
	}
	if _, ok := files.files[dockerArchiveList]; !ok || !l.lacksLayers(ctx) {
		return l, nil
	}
	if docker, err := newDockerArchive(ctx, files, closer, where); err == nil && docker.hasLayers() {
		return docker, nil
	}
	return l, nil
}

// archive reads what is in the file, and closes it if that fails.
func (a *archiveFile) archive(ctx context.Context, where string, form archiveForm) (Archive, error) {
	files, err := newTarFiles(ctx, a, a.size)
	if err != nil {
		return nil, joined.Errors(err, a.Close())
	}
	archive, err := form(ctx, files, a, where)
	if err != nil {
		return nil, joined.Errors(err, a.Close())
	}
	return archive, nil
}

// openArchive opens an archive of a known form.
func openArchive(ctx context.Context, file, where string, form archiveForm) (Archive, error) {
	f, err := openArchiveFile(ctx, file)
	if err != nil {
		return nil, err
	}
	return f.archive(ctx, where, form)
}
