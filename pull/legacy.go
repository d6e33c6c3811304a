// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// legacyForm is one of the two things that cosign 2 keeps at a tag made of the
// digest they are about: layers of one manifest, each with what proves it in its
// annotations (sigstore/cosign, specs/SIGNATURE_SPEC.md and ATTESTATION_SPEC.md).
type legacyForm struct {
	kind      CandidateKind
	name      string // of one, for messages
	suffix    string // of the tag
	mediaType string // of the layers
	limit     int64  // on one layer, in bytes
}

// legacyForms are both, signatures first.
var legacyForms = []*legacyForm{
	{
		kind: KindLegacy, name: "signature", suffix: ".sig", mediaType: schemas.MediaTypeSimpleSigning, limit: maxPayload,
	},
	// They may be large, as bundles may, and share what bundles share.
	{
		kind: KindLegacyAttestation, name: "attestation", suffix: ".att", mediaType: schemas.MediaTypeEnvelope, limit: maxBundle,
	},
}

// legacy is what cosign 2 keeps in one form about a subject.
type legacy struct {
	*search
	form     *legacyForm
	manifest string // digest, "" when there was no finding out
	config   ocispec.Descriptor
	found    []ocispec.Descriptor
	err      error
}

// lookUp reads the manifest at the tag. That a registry denies the tag means that
// there is none: the image itself was there to be read.
func (s *search) lookUp(ctx context.Context, form *legacyForm) *legacy {
	l := &legacy{search: s, form: form}
	tag := image.LegacyTag(s.subject, form.suffix)
	if tag == "" {
		return l
	}
	m, err := s.f.src.Manifest(image.WithManifestLimit(ctx, maxLegacyManifest), s.f.ref.WithTag(tag))
	if errors.Is(err, image.ErrNotFound) || errors.Is(err, image.ErrUnauthorized) {
		return l
	}
	var manifest ocispec.Manifest
	if err == nil {
		l.manifest = m.Descriptor.Digest.String()
		manifest, err = parseManifest(m)
	}
	l.config, l.found, l.err = manifest.Config, manifest.Layers, err
	return l
}

// share is how many of its layers are looked at whatever else there is.
func (l *legacy) share() int64 {
	return int64(min(len(l.found), reservedForTags/len(legacyForms)))
}

// layers returns what the first n layers hold, and a word about the others.
func (l *legacy) layers(ctx context.Context, n int) []Candidate {
	said := Candidate{Kind: l.form.kind, Subject: l.subject.String(), Manifest: l.manifest}
	if l.err != nil {
		said.Err = l.err
		return []Candidate{said}
	}
	if len(l.found) == 0 {
		return nil
	}
	found := make([]Candidate, n, n+1)
	inParallel(n+1, func(i int) func() {
		if i == n {
			// Nothing in it counts, but a store keeps no manifest without its config.
			return func() { _, _ = l.f.src.Blob(ctx, l.f.ref, l.config, maxPayload) }
		}
		return func() {
			found[i] = said
			found[i].Payload, found[i].Annotations, found[i].Err = l.payload(ctx, l.found[i])
		}
	})
	if ignored := len(l.found) - n; ignored > 0 {
		said.Err = fmt.Errorf("%w: %d more %ss were not looked at", image.ErrTooLarge, ignored, l.form.name)
		found = append(found, said)
	}
	return found
}

// payload fetches one layer.
func (l *legacy) payload(ctx context.Context, layer ocispec.Descriptor) ([]byte, map[string]string, error) {
	if layer.MediaType != l.form.mediaType {
		return nil, nil, bad("%q is not the media type of legacy %ss", clip(layer.MediaType), l.form.name)
	}
	size := 0
	for k, v := range layer.Annotations {
		size += len(k) + len(v)
	}
	if size > maxAnnotations {
		return nil, nil, fmt.Errorf("%w: its annotations are %d bytes, at most %d are read", image.ErrTooLarge, size, maxAnnotations)
	}
	if err := l.reserve(l.form.name, layer.Size, l.form.limit); err != nil {
		return nil, nil, err
	}
	data, err := l.f.src.Blob(ctx, l.f.ref, layer, l.form.limit)
	return data, layer.Annotations, err
}
