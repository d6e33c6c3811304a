// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var (
	// ErrOtherRegistry: the two names are of different registries, between which
	// only [Copy] carries an image.
	ErrOtherRegistry = errors.New("the two names are not of one registry")
	// ErrNotMounted: the registry does not take blobs over from its other
	// repository by itself, so that they would have to be downloaded and sent again.
	ErrNotMounted = errors.New("the registry does not take the blob over by itself")
)

// Retag gives the image src names the name dst, which must have a tag and be of the
// same registry. No blob is downloaded. Within one repository the manifest is written
// under the new tag, and all that is attached to it is there already. Into another
// repository the registry mounts the blobs, and what is attached comes along as it does
// with [Copy]; progress, which may be nil, hears of each manifest and of what was left
// out. A blob the registry does not mount is [ErrNotMounted].
func (r *Registry) Retag(ctx context.Context, src, dst Reference, progress func(Event)) (ocispec.Descriptor, error) {
	direct := r.WithoutMirrors()
	switch {
	case src.registry != dst.registry:
		return ocispec.Descriptor{}, fmt.Errorf("%w: %s and %s", ErrOtherRegistry, src.registry, dst.registry)
	case dst.tag == "" || dst.digest != "":
		return ocispec.Descriptor{}, fmt.Errorf("%w %q: a new name is a tag, without a digest", ErrReference, dst)
	case src.repository != dst.repository:
		return Copy(ctx, direct, dst, direct, src, CopyOptions{Referrers: true, NoDownload: true, Progress: progress})
	}
	m, err := readManifest(ctx, direct, src)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	return m.Descriptor, direct.PutManifest(ctx, dst, m)
}
