// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	// dockerArchiveList is the file that lists the images of a docker archive.
	dockerArchiveList = "manifest.json"
	// maxDockerImages bounds the images in it, and their names.
	maxDockerImages = 256
)

// dockerArchive is what docker save and podman save write: configs and layers,
// but no manifests. One is made for each image, always the same, so that its
// digest is not that of the image that was saved, and signatures are lost.
type dockerArchive struct {
	files     *tarFiles
	closer    io.Closer
	where     string
	images    []ArchivedImage
	manifests map[digest.Digest]Manifest
	blobs     map[digest.Digest]section
	hashed    map[section]digest.Digest
}

var _ Archive = (*dockerArchive)(nil)

// dockerImage is one entry of manifest.json (github.com/moby/moby, image/spec).
type dockerImage struct {
	Config   string   `json:"Config"`
	RepoTags []string `json:"RepoTags"`
	Layers   []string `json:"Layers"`
}

// newDockerArchive reads the list and hashes all layers: nothing else in the
// file says what their digests are.
func newDockerArchive(ctx context.Context, files *tarFiles, closer io.Closer, where string) (*dockerArchive, error) {
	data, err := files.read(dockerArchiveList, MaxManifest)
	if errors.Is(err, ErrNotFound) {
		return nil, malformed("it has neither the file oci-layout of an image layout nor the file %s of docker's archives", dockerArchiveList)
	}
	if err != nil {
		return nil, err
	}
	var list []dockerImage
	if err := boundedjson.Unmarshal(data, &list); err != nil {
		return nil, malformed("%s is malformed: %w", dockerArchiveList, err)
	}
	if len(list) > maxDockerImages {
		return nil, fmt.Errorf("it has %d images, at most %d are allowed: %w", len(list), maxDockerImages, ErrTooLarge)
	}
	a := &dockerArchive{
		files: files, closer: closer, where: where,
		manifests: map[digest.Digest]Manifest{}, blobs: map[digest.Digest]section{}, hashed: map[section]digest.Digest{},
	}
	for i, im := range list {
		if err := a.add(ctx, im, i); err != nil {
			return nil, fmt.Errorf("image %d: %w", i+1, err)
		}
	}
	return a, nil
}

// add makes the manifest of one image, at a place in the list.
func (a *dockerArchive) add(ctx context.Context, im dockerImage, place int) error {
	if len(im.RepoTags) > maxDockerImages || len(im.Layers) > maxLayers {
		return fmt.Errorf("it has %d names and %d layers, at most %d and %d are allowed: %w",
			len(im.RepoTags), len(im.Layers), maxDockerImages, maxLayers, ErrTooLarge)
	}
	manifest := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Layers: []ocispec.Descriptor{}}
	var err error
	if manifest.Config, err = a.blobAt(ctx, im.Config, MaxConfig); err != nil {
		return fmt.Errorf("config: %w", err)
	}
	manifest.Config.MediaType = ocispec.MediaTypeImageConfig
	for _, name := range im.Layers {
		// Docker before 25 writes a layer that it wrote before as a link to that.
		layer, err := a.blobAt(ctx, a.files.linked(name), MaxLayer)
		if err != nil {
			return fmt.Errorf("layer: %w", err)
		}
		manifest.Layers = append(manifest.Layers, layer)
	}
	data, err := json.Marshal(manifest)
	if err != nil {
		return fmt.Errorf("encoding its manifest: %w", err)
	}
	m, err := newManifest(data, "", "")
	if err != nil {
		return err
	}
	a.manifests[m.Descriptor.Digest] = m
	if len(im.RepoTags) == 0 {
		im.RepoTags = []string{""}
	}
	for _, name := range im.RepoTags {
		made := newArchivedImage(name, "", m.Descriptor.Digest.String())
		made.Place = place
		a.images = append(a.images, made)
	}
	return nil
}

// hasLayers says whether any image has.
func (a *dockerArchive) hasLayers() bool {
	for _, m := range a.manifests {
		if blobs, err := blobsOf(m); err == nil && len(blobs) > 1 { // the first is the config
			return true
		}
	}
	return false
}

// blobAt describes one file. Layers are plain tar files, or gzipped ones where
// newer versions of docker save them as they are.
func (a *dockerArchive) blobAt(ctx context.Context, name string, limit int64) (ocispec.Descriptor, error) {
	if err := ctx.Err(); err != nil {
		return ocispec.Descriptor{}, err
	}
	s, err := a.files.find(name, limit)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Size: s.size}
	var magic [2]byte
	if n, _ := a.files.r.ReadAt(magic[:min(s.size, 2)], s.offset); n == 2 && bytes.Equal(magic[:], []byte{0x1f, 0x8b}) {
		desc.MediaType = ocispec.MediaTypeImageLayerGzip
	}
	if desc.Digest = a.hashed[s]; desc.Digest != "" {
		return desc, nil
	}
	desc.Digest, err = digest.FromReader(&contextReader{ctx, io.NewSectionReader(a.files.r, s.offset, s.size)})
	if err != nil {
		return desc, fmt.Errorf("hashing %q: %w", clipText(name), err)
	}
	a.hashed[s], a.blobs[desc.Digest] = desc.Digest, s
	return desc, nil
}

// Close implements [Archive].
func (a *dockerArchive) Close() error { return a.closer.Close() }

// KeepsDigests implements [Archive].
func (a *dockerArchive) KeepsDigests() bool { return false }

// Images implements [Archive].
func (a *dockerArchive) Images() []ArchivedImage { return a.images }

// Manifest implements [Source].
func (a *dockerArchive) Manifest(ctx context.Context, ref Reference) (Manifest, error) {
	if err := joined.Errors(ctx.Err(), ref.check()); err != nil {
		return Manifest{}, err
	}
	if m, ok := a.manifests[digest.Digest(ref.digest)]; ok {
		return m, nil
	}
	for _, im := range a.images {
		if ref.digest == "" && im.Full && im.Reference() == ref {
			return a.manifests[digest.Digest(im.Ref.digest)], nil
		}
	}
	return Manifest{}, fmt.Errorf("reading a manifest from %s: no image %s: %w", a.where, ref, ErrNotFound)
}

// Blob implements [Source].
func (a *dockerArchive) Blob(ctx context.Context, _ Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	if err := joined.Errors(ctx.Err(), checkDescriptor(desc, limit)); err != nil {
		return nil, err
	}
	s, ok := a.blobs[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("reading a blob from %s: %s: %w", a.where, desc.Digest, ErrNotFound)
	}
	if s.size != desc.Size {
		return nil, fmt.Errorf("reading a blob from %s: %s is %d bytes, not %d: %w", a.where, desc.Digest, s.size, desc.Size, ErrDigestMismatch)
	}
	data, err := a.files.readSection(s)
	if err != nil {
		return nil, err
	}
	return data, checkContent(data, desc) // the file may have changed since
}

// Referrers implements [Source]: the format cannot hold any.
func (a *dockerArchive) Referrers(ctx context.Context, ref Reference) ([]ocispec.Descriptor, error) {
	if ref.digest == "" {
		return nil, fmt.Errorf("listing the referrers of %s in %s: %w: it has no digest", ref, a.where, ErrReference)
	}
	return nil, joined.Errors(ctx.Err(), ref.check())
}
