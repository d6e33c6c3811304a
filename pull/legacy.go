// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// legacyTag is where cosign 2 keeps the signatures of an image
// (sigstore/cosign, specs/SIGNATURE_SPEC.md).
func legacyTag(subject digest.Digest) string {
	return subject.Algorithm().String() + "-" + subject.Encoded() + ".sig"
}

// legacy returns cosign 2's signatures of subject: the layers of one manifest,
// each with the signature in its annotations.
func (f *fetch) legacy(ctx context.Context, subject digest.Digest) []Candidate {
	failed := Candidate{Kind: KindLegacy, Subject: subject.String()}
	m, err := f.src.Manifest(ctx, f.ref.WithTag(legacyTag(subject)))
	if errors.Is(err, image.ErrNotFound) {
		return nil
	}
	if err != nil {
		failed.Err = err
		return []Candidate{failed}
	}
	failed.Manifest = m.Descriptor.Digest.String()
	manifest, err := parseManifest(m)
	if err != nil {
		failed.Err = err
		return []Candidate{failed}
	}
	layers := manifest.Layers[:min(len(manifest.Layers), maxLegacy)]
	found := make([]Candidate, len(layers))
	var group errgroup.Group // errors stay with their candidate
	group.SetLimit(maxParallel)
	for i, layer := range layers {
		group.Go(func() error {
			found[i] = Candidate{Kind: KindLegacy, Subject: subject.String(), Manifest: m.Descriptor.Digest.String()}
			found[i].Payload, found[i].Annotations, found[i].Err = f.payload(ctx, layer)
			return nil
		})
	}
	_ = group.Wait() // no function returns one
	if ignored := len(manifest.Layers) - len(layers); ignored > 0 {
		failed.Err = fmt.Errorf("%w: %d more signatures were not looked at", image.ErrTooLarge, ignored)
		found = append(found, failed)
	}
	return found
}

// payload fetches one signature.
func (f *fetch) payload(ctx context.Context, layer ocispec.Descriptor) ([]byte, map[string]string, error) {
	if layer.MediaType != schemas.MediaTypeSimpleSigning {
		return nil, nil, bad("%q is not the media type of a signature", clip(layer.MediaType))
	}
	size := 0
	for k, v := range layer.Annotations {
		size += len(k) + len(v)
	}
	if size > maxAnnotations {
		return nil, nil, fmt.Errorf("%w: its annotations are %d bytes, at most %d are read", image.ErrTooLarge, size, maxAnnotations)
	}
	data, err := f.src.Blob(ctx, f.ref, layer, maxPayload)
	return data, layer.Annotations, err
}
