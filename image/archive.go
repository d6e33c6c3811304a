// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
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
// save wrote, whichever form it has. An image layout wins over docker's list
// where a file has both, because it keeps the digests.
func OpenArchive(ctx context.Context, file string) (Archive, error) {
	a, err := openArchive(ctx, file, func(files *tarFiles) bool {
		_, isLayout := files.files["oci-layout"]
		return isLayout
	})
	if err != nil {
		return nil, fmt.Errorf("opening the archive %s: %w", file, err)
	}
	return a, nil
}

// openArchive opens an archive as an image layout, or else as docker's form.
func openArchive(ctx context.Context, file string, asLayout func(*tarFiles) bool) (Archive, error) {
	f, err := openArchiveFile(ctx, file)
	if err != nil {
		return nil, err
	}
	files, err := newTarFiles(ctx, f, f.size)
	if err != nil {
		return nil, joined.Errors(err, f.Close())
	}
	var a Archive
	if asLayout(files) {
		a, err = newLayout(files, f, "oci-archive:"+file)
	} else {
		a, err = newDockerArchive(ctx, files, f, "docker-archive:"+file)
	}
	if err != nil {
		return nil, joined.Errors(err, f.Close())
	}
	return a, nil
}

// pick returns the image called name; with "" the only one.
func pick(a Archive, where, name string) (ArchivedImage, error) {
	images := a.Images()
	if name == "" {
		return pickOnly(images, where)
	}
	want, full := fullName(name)
	for _, im := range images {
		if im.Name == name || full && im.Full && im.Reference() == (ArchivedImage{Ref: want}).Reference() {
			return im, nil
		}
	}
	return ArchivedImage{}, fmt.Errorf("%s has no image %q, %s: %w", where, name, namesText(images), ErrNotFound)
}

func pickOnly(images []ArchivedImage, where string) (ArchivedImage, error) {
	if len(images) == 0 {
		return ArchivedImage{}, fmt.Errorf("%s has no images: %w", where, ErrNotFound)
	}
	for _, im := range images[1:] {
		if im.Ref.digest != images[0].Ref.digest {
			return ArchivedImage{}, fmt.Errorf("%w: %s has several images, name one: %s", ErrReference, where, namesText(images))
		}
	}
	return images[0], nil
}

// namesText lists some names for an error.
func namesText(images []ArchivedImage) string {
	const most = 8
	var list []string
	for i, im := range images {
		if i == most {
			list = append(list, fmt.Sprintf("and %d more", len(images)-most))
			break
		}
		list = append(list, fmt.Sprintf("%q", clipText(im.Name)))
	}
	if list == nil {
		return "and none at all"
	}
	return "it has " + strings.Join(list, ", ")
}
