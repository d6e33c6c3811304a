// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// checkDescriptor refuses descriptors no blob of at most limit bytes can have.
func checkDescriptor(desc ocispec.Descriptor, limit int64) error {
	if err := checkDigest(desc.Digest.String()); err != nil {
		return err
	}
	if desc.Size < 0 {
		return fmt.Errorf("the size of %s is negative", desc.Digest)
	}
	if desc.Size > limit {
		return fmt.Errorf("%s is %d bytes, at most %d are allowed: %w", desc.Digest, desc.Size, limit, ErrTooLarge)
	}
	return nil
}

// checkContent compares data with the descriptor that names it.
func checkContent(data []byte, desc ocispec.Descriptor) error {
	if err := checkDigest(desc.Digest.String()); err != nil {
		return err
	}
	if int64(len(data)) != desc.Size {
		return fmt.Errorf("%s: got %d bytes instead of %d: %w", desc.Digest, len(data), desc.Size, ErrDigestMismatch)
	}
	if got := digestLike(desc.Digest, data); got != desc.Digest {
		return fmt.Errorf("got %s instead of %s: %w", got, desc.Digest, ErrDigestMismatch)
	}
	return nil
}

// readManifest is src's Manifest, compared with itself and with ref's digest. Every
// source has done that already; a source that forgets to must not pass one image
// off as another.
func readManifest(ctx context.Context, src Source, ref Reference) (Manifest, error) {
	m, err := src.Manifest(ctx, ref)
	if err != nil {
		return m, err
	}
	if err := checkContent(m.Bytes, m.Descriptor); err != nil {
		return Manifest{}, fmt.Errorf("reading manifest %s: %w", ref, err)
	}
	if ref.digest != "" && ref.digest != m.Descriptor.Digest.String() {
		return Manifest{}, fmt.Errorf("reading manifest %s: got %s instead: %w", ref, m.Descriptor.Digest, ErrDigestMismatch)
	}
	return m, nil
}

// check refuses references that [Reference.WithTag] or [Reference.WithDigest]
// made invalid, and the zero value.
func (r Reference) check() error {
	if r.registry == "" || r.repository == "" || (r.tag == "" && r.digest == "") {
		return fmt.Errorf("%w %q: it is incomplete", ErrReference, r)
	}
	if r.tag != "" {
		if err := checkTag(r.tag); err != nil {
			return fmt.Errorf("%w %q: %w", ErrReference, r, err)
		}
	}
	if r.digest != "" {
		if err := checkDigest(r.digest); err != nil {
			return fmt.Errorf("%w %q: %w", ErrReference, r, err)
		}
	}
	return nil
}

// checkManifest compares m with itself and with the reference it is to be
// stored under, and returns its head.
func checkManifest(ref Reference, m Manifest) (manifestHead, error) {
	if err := ref.check(); err != nil {
		return manifestHead{}, err
	}
	if err := checkContent(m.Bytes, m.Descriptor); err != nil {
		return manifestHead{}, err
	}
	if ref.digest != "" && ref.digest != m.Descriptor.Digest.String() {
		return manifestHead{}, fmt.Errorf("%s cannot name a manifest with digest %s: %w", ref, m.Descriptor.Digest, ErrDigestMismatch)
	}
	if kindOf(m.Descriptor.MediaType) == kindUnknown {
		return manifestHead{}, fmt.Errorf("manifests of type %q are not supported", m.Descriptor.MediaType)
	}
	head, err := parseHead(m.Bytes)
	if err != nil {
		return head, err
	}
	if head.Subject != nil {
		if err := checkDigest(head.Subject.Digest.String()); err != nil {
			return head, fmt.Errorf("the subject of %s: %w", m.Descriptor.Digest, err)
		}
	}
	return head, nil
}
