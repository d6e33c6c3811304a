// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Bounds of an index that is signed recursively, far above honest ones: each
// image is a request and a signature.
const (
	maxImages = 256
	maxDepth  = 4
)

// mediaTypeDockerList is an index in Docker's older form
// (distribution/distribution, docs/content/spec/manifest-v2-2.md).
const mediaTypeDockerList = "application/vnd.docker.distribution.manifest.list.v2+json"

// ErrMissing: an index names an image that is not beside it. Nothing was
// written.
var ErrMissing = errors.New("the index names an image that is not there")

// writer signs one job's subject and stores the signature.
type writer func(context.Context, *job) (ocispec.Descriptor, error)

// signAll signs every image of an index, and then the index: as long as that is
// unsigned, something is left to do. All of them are fetched before the first is
// signed.
func (j *job) signAll(ctx context.Context, write writer) (Result, error) {
	jobs, err := j.images(ctx, map[digest.Digest]bool{j.subject.Digest: true}, 0)
	if err != nil {
		return Result{}, err
	}
	result := Result{Subject: j.subject}
	for _, one := range jobs {
		sig, err := write(ctx, one)
		if err != nil {
			return Result{}, fmt.Errorf("signing %s: %w", one.subject.Digest, err)
		}
		result.Images = append(result.Images, Result{Subject: one.subject, Signature: sig})
	}
	result.Signature, err = write(ctx, j)
	return result, err
}

// images returns a job for each image below j's subject, once each, an index
// below it after its own images.
func (j *job) images(ctx context.Context, seen map[digest.Digest]bool, depth int) ([]*job, error) {
	if t := j.subject.MediaType; t != ocispec.MediaTypeImageIndex && t != mediaTypeDockerList {
		return nil, nil
	}
	if depth == maxDepth {
		return nil, fmt.Errorf("%s nests indexes deeper than %d", j.named, maxDepth)
	}
	var index ocispec.Index
	if err := boundedjson.Unmarshal(j.content, &index); err != nil {
		return nil, fmt.Errorf("reading the index %s: %w", j.subject.Digest, err)
	}
	var jobs []*job
	for _, desc := range index.Manifests {
		if seen[desc.Digest] {
			continue
		}
		if seen[desc.Digest] = true; len(seen) > maxImages {
			return nil, fmt.Errorf("%s has over %d images", j.named, maxImages)
		}
		one, err := j.child(ctx, desc)
		if err != nil {
			return nil, err
		}
		below, err := one.images(ctx, seen, depth+1)
		if err != nil {
			return nil, err
		}
		jobs = append(append(jobs, below...), one)
	}
	return jobs, nil
}

// child fetches what an entry of an index names.
func (j *job) child(ctx context.Context, desc ocispec.Descriptor) (*job, error) {
	if err := desc.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("the index %s names the digest %.80q: %w", j.subject.Digest, desc.Digest, err)
	}
	m, err := j.repo.Manifest(ctx, j.named.WithDigest(desc.Digest.String()))
	switch {
	case errors.Is(err, image.ErrNotFound):
		return nil, fmt.Errorf("%w: %s of %s: push or copy it whole, or sign without --recursive", ErrMissing, desc.Digest, j.subject.Digest)
	case err != nil:
		return nil, fmt.Errorf("fetching %s of the index: %w", desc.Digest, err)
	case m.Descriptor.Size != desc.Size:
		return nil, fmt.Errorf("the index %s says that %s has %d bytes, and it has %d", j.subject.Digest, desc.Digest, desc.Size, m.Descriptor.Size)
	}
	return j.at(m)
}
