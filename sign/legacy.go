// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/pause"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sigstore/sigstore/pkg/signature/payload"
)

const (
	// maxLegacy bounds the signatures under one tag: what readers here look at.
	// cosign itself stops at 1000 (sigstore/cosign, pkg/oci/mutate/signatures.go).
	maxLegacy = 64
	// legacyRounds is how often the tag is looked at until it is quiet with the signature.
	legacyRounds = 64
	// legacySettle and maxLegacySettle bound the wait after an update.
	legacySettle    = 200 * time.Millisecond
	maxLegacySettle = 10 * time.Second
)

// ErrOverwritten: others changed the legacy signatures each time that this one was
// added.
var ErrOverwritten = errors.New("others overwrite the signatures: try again")

// writeLegacy appends a simple-signing signature to those under the subject's
// signature tag.
func (j *job) writeLegacy(ctx context.Context) (ocispec.Descriptor, error) {
	message, err := j.legacyPayload()
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	old, err := j.readLegacy(ctx)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if j.has(old.content, message) {
		return old.desc, nil
	}
	if err := old.full(); err != nil {
		return ocispec.Descriptor{}, err
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
	return j.addLegacy(ctx, old, layer, message)
}

// addLegacy adds layer, the signature of message, to those at the tag, which were old
// when it was read. Registries have no conditional write: another signer may have read
// before we wrote, and write after. So little time passes between reading and writing,
// and the signature counts as written only when the tag stayed as it was while others
// who read before will have written. What they took away is added again.
func (j *job) addLegacy(ctx context.Context, old legacy, layer ocispec.Descriptor, message []byte) (ocispec.Descriptor, error) {
	with, err := j.extended(ctx, old, layer)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var seen digest.Digest // what was at the tag when the signature was there last
	for range legacyRounds {
		begin := time.Now()
		now, err := j.readLegacy(ctx)
		if err != nil {
			return ocispec.Descriptor{}, err
		}
		switch {
		case j.has(now.content, message):
			if now.desc.Digest == seen {
				return now.desc, nil
			}
			seen = now.desc.Digest
		case now.desc.Digest == old.desc.Digest:
			put, err := j.putManifest(ctx, old.tag, with)
			if err != nil {
				return ocispec.Descriptor{}, err
			}
			seen = put.Descriptor.Digest
		default:
			old = now
			if with, err = j.extended(ctx, old, layer); err != nil {
				return ocispec.Descriptor{}, err
			}
			continue
		}
		if err := pause.For(ctx, settle(time.Since(begin))); err != nil {
			return ocispec.Descriptor{}, fmt.Errorf("looking at the signatures at tag %s again: %w", old.tag, err)
		}
	}
	return ocispec.Descriptor{}, fmt.Errorf("tag %s: %w", old.tag, ErrOverwritten)
}

// extended is what old holds and layer, with the config of both, which it stores.
func (j *job) extended(ctx context.Context, old legacy, layer ocispec.Descriptor) (ocispec.Manifest, error) {
	with := old.content
	if err := old.full(); err != nil {
		return with, err
	}
	with.Layers = append(slices.Clone(old.content.Layers), layer)
	var err error
	with.Config, err = j.putLegacyConfig(ctx, with.Layers)
	return with, err
}

// settle is the pause after an update that took so long, in which those end that began
// before it did: they take about as long, on a slower machine longer. Random, so that
// two signers do not overwrite each other in step.
func settle(took time.Duration) time.Duration {
	d := min(max(legacySettle, 4*took), maxLegacySettle)
	return d + rand.N(d)
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

// legacy is what a signature tag holds.
type legacy struct {
	tag     string
	content ocispec.Manifest
	desc    ocispec.Descriptor // zero when there is none
}

// full refuses to add to what readers do not look at any more.
func (l legacy) full() error {
	if len(l.content.Layers) >= maxLegacy {
		return fmt.Errorf("tag %s holds %d signatures already: delete old ones", l.tag, len(l.content.Layers))
	}
	return nil
}

// readLegacy returns what is at the subject's signature tag, empty when there is
// nothing yet.
func (j *job) readLegacy(ctx context.Context) (legacy, error) {
	l := legacy{tag: j.subject.Digest.Algorithm().String() + "-" + j.subject.Digest.Encoded() + ".sig"}
	raw, err := j.repo.Manifest(ctx, j.ref.WithTag(l.tag))
	if errors.Is(err, image.ErrNotFound) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("reading the signatures at tag %s: %w", l.tag, err)
	}
	if raw.Descriptor.MediaType != ocispec.MediaTypeImageManifest {
		return l, fmt.Errorf("tag %s holds a %q, not signatures: remove it or sign without --legacy-signature", l.tag, raw.Descriptor.MediaType)
	}
	if err := boundedjson.Unmarshal(raw.Bytes, &l.content); err != nil {
		return l, fmt.Errorf("reading the signatures at tag %s: %w", l.tag, err)
	}
	l.desc = raw.Descriptor
	return l, nil
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
