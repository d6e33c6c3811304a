// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

// selector begins the name of an image that is meant by its digest or its place
// instead: "@sha256:…" or, as skopeo and podman spell it, "@N".
const selector = "@"

// choose returns the image that is called name or selected by it; with "" the only
// one.
func choose(ctx context.Context, a Archive, where, name string) (ArchivedImage, error) {
	which, ok := strings.CutPrefix(name, selector)
	if !ok {
		return pick(a, where, name)
	}
	if place, err := strconv.ParseUint(which, 10, 31); err == nil {
		return pickPlace(a, where, int(place))
	}
	if err := checkDigest(which); err != nil {
		return ArchivedImage{}, fmt.Errorf("%w: %s is selected by %q: want @N, where 0 is the first image, or a digest, such as @sha256:<64 hex digits>", ErrReference, where, clipText(name))
	}
	return pickDigest(ctx, a, where, which)
}

func pickPlace(a Archive, where string, place int) (ArchivedImage, error) {
	for _, im := range a.Images() {
		if im.Place == place {
			return im, nil
		}
	}
	return ArchivedImage{}, fmt.Errorf("%s has no image at @%d, %s: %w", where, place, imagesText(a.Images()), ErrNotFound)
}

// pickDigest takes any manifest: one platform of an index has no name either.
func pickDigest(ctx context.Context, a Archive, where, digest string) (ArchivedImage, error) {
	for _, im := range a.Images() {
		if im.Ref.digest == digest {
			return im, nil
		}
	}
	im := ArchivedImage{Ref: standIn.WithDigest(digest), Place: -1}
	if _, err := a.Manifest(ctx, im.Ref); err != nil {
		return ArchivedImage{}, fmt.Errorf("%s: %w; %s", where, err, imagesText(a.Images()))
	}
	return im, nil
}

// pick returns the image called name, which may say its digest too; with "" the
// only one.
func pick(a Archive, where, name string) (ArchivedImage, error) {
	images := a.Images()
	if name == "" {
		return pickOnly(images, where)
	}
	for _, im := range images {
		if im.Name == name {
			return im, nil
		}
	}
	short, digest, pinned := strings.Cut(name, "@")
	want, full := fullName(short)
	for _, im := range images {
		named := im.Name == short || full && im.Full && im.Reference() == (ArchivedImage{Ref: want}).Reference()
		if named && (!pinned || im.Ref.digest == digest) {
			return im, nil
		}
	}
	return ArchivedImage{}, fmt.Errorf("%s has no image %q, %s: %w", where, name, imagesText(images), ErrNotFound)
}

func pickOnly(images []ArchivedImage, where string) (ArchivedImage, error) {
	if len(images) == 0 {
		return ArchivedImage{}, fmt.Errorf("%s has no images: %w", where, ErrNotFound)
	}
	for _, im := range images[1:] {
		if im.Ref.digest != images[0].Ref.digest {
			return ArchivedImage{}, fmt.Errorf("%w: %s has several images: add one's name (:NAME), its place (:@%d) or its digest (@sha256:…): %s",
				ErrReference, where, images[0].Place, imagesText(images))
		}
	}
	return images[0], nil
}

// imagesText lists some images for an error.
func imagesText(images []ArchivedImage) string {
	const most = 8
	var list []string
	for i, im := range images {
		if i == most {
			list = append(list, fmt.Sprintf("and %d more", len(images)-most))
			break
		}
		name := "one without a name"
		if im.Name != "" {
			name = strconv.Quote(clipText(im.Name))
		}
		list = append(list, fmt.Sprintf("%s (@%d, %s)", name, im.Place, im.Ref.digest))
	}
	if list == nil {
		return "and none at all"
	}
	return "it has " + strings.Join(list, ", ")
}
