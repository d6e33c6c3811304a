// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"google.golang.org/protobuf/encoding/protojson"
)

// What cosign 3 writes around a bundle (sigstore/cosign v3.1.3,
// pkg/oci/remote/write.go, WriteAttestationNewBundleFormat and WriteReferrer).
const (
	annotationContent   = "dev.sigstore.bundle.content"
	annotationPredicate = "dev.sigstore.bundle.predicateType"
	contentDSSE         = "dsse-envelope"
)

// Types of an in-toto statement and of its DSSE payload (in-toto/attestation,
// spec/v1/statement.md and envelope.md).
const (
	statementType   = "https://in-toto.io/Statement/v1"
	payloadTypeJSON = "application/vnd.in-toto+json"
)

// statement is the in-toto statement of an image signature, as cosign 3 fills
// it (cmd/cosign/cli/sign/sign.go, signDigestBundle): one subject without a
// name, annotations there, and an empty predicate.
type statement struct {
	Type          string    `json:"_type"`
	Subject       []subject `json:"subject"`
	PredicateType string    `json:"predicateType"`
	Predicate     struct{}  `json:"predicate"`
}

type subject struct {
	Digest      map[string]string `json:"digest"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// writeBundle signs the subject and stores the bundle as its referrer.
func (j *job) writeBundle(ctx context.Context) (ocispec.Descriptor, error) {
	bundle, err := j.makeBundle(ctx)
	if err != nil {
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
	return j.putManifest(ctx, "", ocispec.Manifest{
		ArtifactType: schemas.MediaTypeBundle,
		Config:       config,
		Layers:       []ocispec.Descriptor{layer},
		Subject:      &j.subject,
		Annotations: map[string]string{
			annotationContent:         contentDSSE,
			annotationPredicate:       schemas.PredicateCosignSign,
			ocispec.AnnotationCreated: created.UTC().Format(time.RFC3339),
		},
	})
}

// makeBundle returns the Sigstore bundle v0.3 of a signature of the subject.
func (j *job) makeBundle(ctx context.Context) ([]byte, error) {
	payload, err := json.Marshal(statement{
		Type:          statementType,
		PredicateType: schemas.PredicateCosignSign,
		Subject: []subject{{
			Digest:      map[string]string{j.subject.Digest.Algorithm().String(): j.subject.Digest.Encoded()},
			Annotations: j.opts.Annotations,
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the statement: %w", err)
	}
	sig, err := j.sign(ctx, dsse.PAE(payloadTypeJSON, payload))
	if err != nil {
		return nil, err
	}
	hint, err := j.keyHint()
	if err != nil {
		return nil, err
	}
	data, err := protojson.Marshal(&protobundle.Bundle{
		MediaType: schemas.MediaTypeBundle,
		VerificationMaterial: &protobundle.VerificationMaterial{
			Content: &protobundle.VerificationMaterial_PublicKey{PublicKey: &protocommon.PublicKeyIdentifier{Hint: hint}},
		},
		Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
			Payload:     payload,
			PayloadType: payloadTypeJSON,
			Signatures:  []*protodsse.Signature{{Sig: sig}},
		}},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding the bundle: %w", err)
	}
	// protojson varies its white space between builds on purpose.
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return nil, fmt.Errorf("encoding the bundle: %w", err)
	}
	return compact.Bytes(), nil
}

// keyHint is how cosign names a key in a bundle: base64 of the SHA-256 of the
// public key in PKIX DER form (sigstore/cosign, internal/key).
func (j *job) keyHint() (string, error) {
	der, err := x509.MarshalPKIXPublicKey(j.public)
	if err != nil {
		return "", fmt.Errorf("encoding the public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}
