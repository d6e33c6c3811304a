// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// legacyForm is one of the two things that cosign 2 keeps at a tag made of the
// digest they are about: layers of one manifest, each with what proves it in its
// annotations (sigstore/cosign, specs/SIGNATURE_SPEC.md and ATTESTATION_SPEC.md).
type legacyForm struct {
	kind      CandidateKind
	name      string // of one, for messages
	suffix    string // of the tag
	mediaType string // of the layers
	// reserve says whether a layer of size bytes is fetched.
	reserve func(size int64) error
	limit   int64 // on one layer in bytes, whatever it says of its size
}

func legacySignatures() legacyForm {
	return legacyForm{
		kind: KindLegacy, name: "signature", suffix: ".sig", mediaType: schemas.MediaTypeSimpleSigning,
		reserve: func(int64) error { return nil }, limit: maxPayload,
	}
}

// legacyAttestations may be large, as bundles may; both take out of large.
func legacyAttestations(large *atomic.Int64) legacyForm {
	return legacyForm{
		kind: KindLegacyAttestation, name: "attestation", suffix: ".att", mediaType: schemas.MediaTypeEnvelope,
		reserve: func(size int64) error { return reserve("attestation", size, large) }, limit: maxBundle,
	}
}

// legacy returns what cosign 2 keeps in one form about subject.
func (f *fetch) legacy(ctx context.Context, subject digest.Digest, form legacyForm) []Candidate {
	tag := image.LegacyTag(subject, form.suffix)
	if tag == "" {
		return nil
	}
	failed := Candidate{Kind: form.kind, Subject: subject.String()}
	m, err := f.src.Manifest(ctx, f.ref.WithTag(tag))
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
	group.Go(func() error {
		// Nothing in it counts, but a store keeps no manifest without its config.
		_, _ = f.src.Blob(ctx, f.ref, manifest.Config, maxPayload)
		return nil
	})
	for i, layer := range layers {
		group.Go(func() error {
			found[i] = Candidate{Kind: form.kind, Subject: subject.String(), Manifest: m.Descriptor.Digest.String()}
			found[i].Payload, found[i].Annotations, found[i].Err = f.payload(ctx, layer, form)
			return nil
		})
	}
	_ = group.Wait() // no function returns one
	if ignored := len(manifest.Layers) - len(layers); ignored > 0 {
		failed.Err = fmt.Errorf("%w: %d more %ss were not looked at", image.ErrTooLarge, ignored, form.name)
		found = append(found, failed)
	}
	return found
}

// payload fetches one layer.
func (f *fetch) payload(ctx context.Context, layer ocispec.Descriptor, form legacyForm) ([]byte, map[string]string, error) {
	if layer.MediaType != form.mediaType {
		return nil, nil, bad("%q is not the media type of legacy %ss", clip(layer.MediaType), form.name)
	}
	size := 0
	for k, v := range layer.Annotations {
		size += len(k) + len(v)
	}
	if size > maxAnnotations {
		return nil, nil, fmt.Errorf("%w: its annotations are %d bytes, at most %d are read", image.ErrTooLarge, size, maxAnnotations)
	}
	if err := form.reserve(layer.Size); err != nil {
		return nil, nil, err
	}
	data, err := f.src.Blob(ctx, f.ref, layer, form.limit)
	return data, layer.Annotations, err
}
