// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

// maxLegacy bounds the signatures under one tag. cosign itself stops at 1000
// (sigstore/cosign, pkg/oci/mutate/signatures.go), readers here far earlier.
const maxLegacy = image.MaxReferrers

// writeLegacy appends a simple-signing signature to those under the subject's
// signature tag. Two signers at the same moment can lose one of the two
// signatures, as with cosign: a tag has no compare-and-swap.
func (j *job) writeLegacy(ctx context.Context) (ocispec.Descriptor, error) {
	message, err := j.legacyPayload()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	tag := j.subject.Digest.Algorithm().String() + "-" + j.subject.Digest.Encoded() + ".sig"
	old, at, err := j.readLegacy(ctx, tag)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if j.has(old, message) {
		return at, nil
	}
	if len(old.Layers) >= maxLegacy {
		return ocispec.Descriptor{}, fmt.Errorf("tag %s holds %d signatures already: delete old ones", tag, len(old.Layers))
	}
	sig, err := j.sign(ctx, message)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if err := j.unmoved(ctx); err != nil {
		return ocispec.Descriptor{}, err
	}
	layer, err := j.putBlob(ctx, schemas.MediaTypeSimpleSigning, message)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	layer.Annotations = map[string]string{schemas.AnnotationCosignSignature: base64.StdEncoding.EncodeToString(sig)}
	old.Layers = append(old.Layers, layer)
	if old.Config, err = j.putLegacyConfig(ctx, old.Layers); err != nil {
		return ocispec.Descriptor{}, err
	}
	return j.putManifest(ctx, tag, old)
}

// legacyPayload is what a simple signature signs (sigstore/cosign,
// specs/SIGNATURE_SPEC.md). Annotations become its "optional" part.
func (j *job) legacyPayload() ([]byte, error) {
	p := payload.SimpleContainerImage{Critical: payload.Critical{
		Identity: payload.Identity{DockerReference: j.ref.Name()},
		Image:    payload.Image{DockerManifestDigest: j.subject.Digest.String()},
		Type:     payload.CosignSignatureType,
	}}
	for k, v := range j.opts.Annotations {
		if p.Optional == nil {
			p.Optional = map[string]any{}
		}
		p.Optional[k] = v
	}
	data, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encoding the payload: %w", err)
	}
	return data, nil
}

// readLegacy returns the manifest under the signature tag, empty when there is
// none yet.
func (j *job) readLegacy(ctx context.Context, tag string) (ocispec.Manifest, ocispec.Descriptor, error) {
	var m ocispec.Manifest
	raw, err := j.repo.Manifest(ctx, j.ref.WithTag(tag))
	if errors.Is(err, image.ErrNotFound) {
		return m, ocispec.Descriptor{}, nil
	}
	if err != nil {
		return m, ocispec.Descriptor{}, fmt.Errorf("reading the signatures at tag %s: %w", tag, err)
	}
	if raw.Descriptor.MediaType != ocispec.MediaTypeImageManifest {
		return m, raw.Descriptor, fmt.Errorf("tag %s holds a %q, not signatures: remove it or sign without --legacy-signature", tag, raw.Descriptor.MediaType)
	}
	if err := boundedjson.Unmarshal(raw.Bytes, &m); err != nil {
		return m, raw.Descriptor, fmt.Errorf("reading the signatures at tag %s: %w", tag, err)
	}
	return m, raw.Descriptor, nil
}

// has says whether m holds a good signature of message by this key already, so
// that signing twice changes nothing.
func (j *job) has(m ocispec.Manifest, message []byte) bool {
	want := digest.FromBytes(message)
	for _, layer := range m.Layers {
		if layer.Digest != want {
			continue
		}
		sig, err := base64.StdEncoding.DecodeString(layer.Annotations[schemas.AnnotationCosignSignature])
		if err == nil && j.verify(sig, message) {
			return true
		}
	}
	return false
}

// putLegacyConfig stores the config cosign writes for its signature manifests:
// an image of no platform whose layers are the payloads, uncompressed.
func (j *job) putLegacyConfig(ctx context.Context, layers []ocispec.Descriptor) (ocispec.Descriptor, error) {
	config := ocispec.Image{RootFS: ocispec.RootFS{Type: "layers"}}
	for _, layer := range layers {
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, layer.Digest)
		config.History = append(config.History, ocispec.History{})
	}
	data, err := json.Marshal(config)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("encoding the signature config: %w", err)
	}
	return j.putBlob(ctx, ocispec.MediaTypeImageConfig, data)
}
