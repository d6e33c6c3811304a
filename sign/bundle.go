// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	sigsign "github.com/sigstore/sigstore-go/pkg/sign"
	"google.golang.org/protobuf/encoding/protojson"
)

// What cosign 3 writes around a bundle (sigstore/cosign v3.1.3,
// pkg/oci/remote/write.go, WriteAttestationNewBundleFormat and WriteReferrer).
const (
	annotationContent   = "dev.sigstore.bundle.content"
	annotationPredicate = "dev.sigstore.bundle.predicateType"
	contentDSSE         = "dsse-envelope"
)

// maxBundle bounds a bundle in bytes: what readers here take.
const maxBundle = 1 << 20

// signaturePredicate makes a statement an image signature, with the empty
// predicate cosign 3 gives it.
func signaturePredicate() Predicate {
	return Predicate{Type: schemas.PredicateCosignSign, Body: json.RawMessage("{}")}
}

// writeBundle signs the predicate of the subject and stores the bundle as its
// referrer.
func (j *job) writeBundle(ctx context.Context, p Predicate) (ocispec.Descriptor, error) {
	bundle, err := j.makeBundle(ctx, p)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := j.unmoved(ctx); err != nil {
		return ocispec.Descriptor{}, err
	}
	config, err := j.putBlob(ctx, ocispec.MediaTypeEmptyJSON, ocispec.DescriptorEmptyJSON.Data)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	config.ArtifactType = schemas.MediaTypeBundle
	layer, err := j.putBlob(ctx, schemas.MediaTypeBundle, bundle)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	created := j.opts.Created
	if created.IsZero() {
		created = time.Now()
	}
	return j.attach(ctx, ocispec.Manifest{
		ArtifactType: schemas.MediaTypeBundle,
		Config:       config,
		Layers:       []ocispec.Descriptor{layer},
		Subject:      &j.subject,
		Annotations: map[string]string{
			annotationContent:         contentDSSE,
			annotationPredicate:       p.Type,
			ocispec.AnnotationCreated: created.UTC().Format(time.RFC3339),
		},
	})
}

// makeBundle returns the Sigstore bundle v0.3 of a statement about the subject,
// with what the services add: certificate, log entries, timestamps.
func (j *job) makeBundle(ctx context.Context, p Predicate) ([]byte, error) {
	payload, err := newStatement(j.subject.Digest, p, j.opts.Annotations)
	if err != nil {
		return nil, err
	}
	opts, err := j.opts.Services.bundleOptions(ctx)
	if err != nil {
		return nil, err
	}
	if opts.TrustedRoot, err = j.trusted(); err != nil {
		return nil, err
	}
	made, err := sigsign.Bundle(&sigsign.DSSEData{Data: payload, PayloadType: payloadTypeJSON}, keypair{j}, opts)
	if err != nil {
		if ctx.Err() != nil {
			err = joined.Errors(ctx.Err(), err)
		}
		return nil, fmt.Errorf("making the bundle: %w", err)
	}
	data, err := protojson.Marshal(made)
	if err != nil {
		return nil, fmt.Errorf("encoding the bundle: %w", err)
	}
	// protojson varies its white space between builds on purpose.
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return nil, fmt.Errorf("encoding the bundle: %w", err)
	}
	if compact.Len() > maxBundle {
		return nil, fmt.Errorf("the bundle is %d bytes, over the %d that readers take: shorten the predicate", compact.Len(), maxBundle)
	}
	return compact.Bytes(), nil
}
