// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// legacySuffixes are the tags cosign 2 attaches signatures, attestations and
// SBOMs by: sha256-<hex> of the subject and one of these (sigstore/cosign,
// specs/SIGNATURE_SPEC.md and SBOM_SPEC.md).
var legacySuffixes = []string{".sig", ".att", ".sbom"}

// maxAttached bounds the manifests of an image and its referrers together: all that
// are listed of one image, or as many of several.
const maxAttached = maxManifests + MaxReferrers

// The manifests of all that is attached are held until the copy is done, in bytes.
// Those over smallAttached share a part of their own, so that they cannot crowd out
// a signature.
const (
	smallAttached    = 64 << 10
	maxSmallAttached = 8 << 20
	maxLargeAttached = 8 << 20
)

// copyAttached copies what refers to the images, and what refers to that. Over the
// limits it goes on with what cosign 2 attached by tag, which is known by name.
func (c *copier) copyAttached(ctx context.Context, images []Manifest) error {
	seen := map[digest.Digest]bool{}
	for _, m := range images {
		seen[m.Descriptor.Digest] = true
	}
	for len(images) > 0 {
		subject := c.srcRef.WithDigest(images[0].Descriptor.Digest.String())
		images = images[1:]
		c.reportUnasked(ctx, subject)
		if len(seen) < maxAttached {
			found, err := c.copyReferrers(ctx, subject, seen)
			if err != nil {
				return err
			}
			images = append(images, found...)
		}
		if err := c.copyLegacy(ctx, subject); err != nil {
			return err
		}
	}
	return nil
}

// reportUnasked says what a store lacks of what is attached to subject, since nobody
// asked for it: a copy of it must not be taken for all there is.
func (c *copier) reportUnasked(ctx context.Context, subject Reference) {
	store, ok := c.src.(*Store)
	if !ok {
		return
	}
	u, err := store.Unasked(ctx, subject)
	what := "all that may else be"
	switch {
	case err == nil && u.None():
		return
	case len(u.Referrers) > 0: // of tags it is not known whether there is something
		what = strconv.Itoa(len(u.Referrers))
	}
	c.skipped(ocispec.Descriptor{Digest: digest.Digest(subject.digest)},
		fmt.Errorf("%s attached to %s, never fetched into the local store: `bpfimg pull --refresh` does", what, subject))
}

// copyReferrers copies the referrers of subject that are not seen yet, and returns
// the manifests it copied.
func (c *copier) copyReferrers(ctx context.Context, subject Reference, seen map[digest.Digest]bool) (images []Manifest, err error) {
	list, err := c.src.Referrers(ctx, subject)
	if err != nil {
		return nil, err
	}
	if len(list) >= MaxReferrers {
		c.skipped(ocispec.Descriptor{Digest: digest.Digest(subject.digest)},
			fmt.Errorf("%s has %d referrers or more, of which only the first %d are copied", subject, MaxReferrers, MaxReferrers))
	}
	for _, desc := range list {
		if seen[desc.Digest] || c.have != nil && !c.have(desc) || c.attached != nil && !c.attached(desc) {
			continue
		}
		if len(seen) == maxAttached {
			c.skipped(desc, fmt.Errorf("%s and all that is attached are more than %d manifests; the rest of the referrers is left out", c.srcRef, maxAttached))
			return images, nil
		}
		seen[desc.Digest] = true
		found, err := c.copyReferrer(ctx, subject, desc)
		if err != nil {
			return nil, err
		}
		for _, m := range found {
			// Whose referrers are to be looked for; all their bytes would be too much.
			images = append(images, Manifest{Descriptor: m.Descriptor})
		}
	}
	return images, nil
}

// copyReferrer copies a manifest that the source lists as a referrer of subject. One
// that is not would be an image of its own at the destination.
func (c *copier) copyReferrer(ctx context.Context, subject Reference, desc ocispec.Descriptor) ([]Manifest, error) {
	m, err := fetchReferrer(ctx, c.src, c.srcRef, desc)
	if err == nil {
		err = refersTo(m, subject)
	}
	if err != nil {
		return nil, c.skip(ctx, desc, &sourceError{err})
	}
	return c.copyAttachment(ctx, m, c.dstRef.WithDigest(desc.Digest.String()))
}

// fetchReferrer reads the manifest that an entry of a list of referrers names. The
// list's word on its size and type does not count ([Source]).
func fetchReferrer(ctx context.Context, src Source, ref Reference, entry ocispec.Descriptor) (Manifest, error) {
	if err := checkDigest(entry.Digest.String()); err != nil {
		return Manifest{}, err
	}
	m, err := readManifest(ctx, src, ref.WithDigest(entry.Digest.String()))
	if err != nil {
		return m, err
	}
	return m, checkDescriptor(m.Descriptor, MaxManifest)
}

func refersTo(m Manifest, subject Reference) error {
	head, err := parseHead(m.Bytes)
	if err != nil {
		return err
	}
	if head.Subject == nil || head.Subject.Digest.String() != subject.digest {
		return malformed("%s is listed as a referrer of %s, but does not refer to it", m.Descriptor.Digest, subject)
	}
	return nil
}

// copyAttachment copies one referrer or legacy manifest, if it can be read.
func (c *copier) copyAttachment(ctx context.Context, m Manifest, dstRef Reference) ([]Manifest, error) {
	nodes, err := c.plan(ctx, m)
	if err != nil {
		return nil, c.skip(ctx, m.Descriptor, &sourceError{err})
	}
	if err := c.takeRoom(nodes); err != nil {
		return nil, c.skip(ctx, m.Descriptor, &sourceError{err})
	}
	found, err := c.copyNodes(ctx, copyPut{nodes: nodes, dstRef: dstRef, attached: true})
	return found, c.skip(ctx, m.Descriptor, err)
}

// takeRoom counts what the manifests of one attachment hold.
func (c *copier) takeRoom(nodes []planNode) error {
	size := 0
	for _, node := range nodes {
		size += len(node.manifest.Bytes)
	}
	held, most := &c.heldSmall, maxSmallAttached
	if size > smallAttached {
		held, most = &c.heldLarge, maxLargeAttached
	}
	if *held+size > most {
		return fmt.Errorf("the manifests of what is attached are over %d bytes together; this one, of %d bytes, is left out: %w", most, size, ErrTooLarge)
	}
	*held += size
	return nil
}

// skip reports and forgives what is wrong with a referrer itself at its source.
// A destination that cannot be written, or a source that does not answer, is an
// error like any other.
func (c *copier) skip(ctx context.Context, desc ocispec.Descriptor, err error) error {
	var source *sourceError
	if err == nil || ctx.Err() != nil || !errors.As(err, &source) || errors.Is(err, ErrNotMounted) {
		return err
	}
	var (
		answer *RegistryError
		format *formatError
	)
	bad := errors.Is(err, ErrNotFound) || errors.Is(err, ErrTooLarge) || errors.Is(err, ErrDigestMismatch) || errors.As(err, &format)
	if errors.As(err, &answer) && !bad {
		return err
	}
	c.skipped(desc, err)
	return nil
}

func (c *copier) skipped(desc ocispec.Descriptor, err error) {
	if c.progress != nil {
		c.progress(Event{Descriptor: desc, Total: desc.Size, State: EventSkipped, Err: err})
	}
}

// copyLegacy copies the manifests cosign 2 attached to subject by tag.
func (c *copier) copyLegacy(ctx context.Context, subject Reference) error {
	for _, suffix := range legacySuffixes {
		tag := LegacyTag(digest.Digest(subject.digest), suffix)
		if tag == "" {
			continue
		}
		m, err := c.legacy(ctx, tag)
		switch {
		case errors.Is(err, ErrNotFound):
			continue
		case err != nil:
			err = c.skip(ctx, m.Descriptor, &sourceError{err})
		case c.have != nil && !c.have(m.Descriptor):
			continue
		default:
			if lost := c.wouldLose(ctx, tag, m); lost != nil {
				c.skipped(m.Descriptor, lost)
				continue
			}
			_, err = c.copyAttachment(ctx, m, c.dstRef.WithTag(tag))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// legacy reads a manifest that was attached by tag, from the first repository that has it.
func (c *copier) legacy(ctx context.Context, tag string) (m Manifest, err error) {
	for _, ref := range append([]Reference{c.srcRef}, c.alsoFrom...) {
		if m, err = readManifest(ctx, c.src, ref.WithTag(tag)); !errors.Is(err, ErrNotFound) {
			break
		}
	}
	return m, err
}

// wouldLose says why the destination's manifest is not to be replaced: a legacy
// tag holds all signatures as layers of one manifest, and the destination may
// have some that the source lacks.
func (c *copier) wouldLose(ctx context.Context, tag string, m Manifest) error {
	dst, ok := c.dst.(Source)
	if !ok {
		return nil
	}
	old, err := dst.Manifest(ctx, c.dstRef.WithTag(tag))
	if err != nil {
		return nil // nothing readable there that could be lost
	}
	oldBlobs, oldErr := blobsOf(old)
	newBlobs, err := blobsOf(m)
	if oldErr != nil || err != nil {
		return nil // the one is no signature, the other is refused later
	}
	for _, blob := range oldBlobs[1:] { // the first is the config
		same := func(b planBlob) bool { return b.desc.Digest == blob.desc.Digest }
		if !slices.ContainsFunc(newBlobs, same) {
			return fmt.Errorf("tag %s: the destination has signatures the source lacks, so it is left as it is", tag)
		}
	}
	return nil
}
