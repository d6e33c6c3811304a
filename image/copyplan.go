// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// Limits on the shape of what is copied. Honest images have one index with a
// handful of platforms, and a layer or two.
const (
	maxIndexDepth = 2
	maxManifests  = 64
	maxLayers     = 64
	// maxPlanned bounds the manifests of one index together, in bytes: they are all
	// held until the last of them is there.
	maxPlanned = 8 << 20
)

// planNode is one manifest to copy and the blobs it needs.
type planNode struct {
	manifest Manifest
	blobs    []planBlob
}

type planBlob struct {
	desc  ocispec.Descriptor
	limit int64
}

// planner lists what is below a manifest, children before parents.
type planner struct {
	src   Source
	ref   Reference
	have  func(ocispec.Descriptor) bool
	nodes []planNode
	seen  map[digest.Digest]bool
	// size is what all manifests hold together, in bytes.
	size int64
}

// add appends m, which is below depth indexes, and all below it.
func (p *planner) add(ctx context.Context, m Manifest, depth int) error {
	node := planNode{manifest: m}
	var err error
	switch kindOf(m.Descriptor.MediaType) {
	case kindIndex:
		err = p.addChildren(ctx, m, depth+1)
	case kindImage:
		node.blobs, err = blobsOf(m)
	default:
		err = fmt.Errorf("manifests of type %q are not supported", m.Descriptor.MediaType)
	}
	p.nodes = append(p.nodes, node)
	return err
}

func (p *planner) addChildren(ctx context.Context, m Manifest, depth int) error {
	if depth > maxIndexDepth {
		return fmt.Errorf("indexes are nested more than %d deep", maxIndexDepth)
	}
	var index ocispec.Index
	if err := boundedjson.Unmarshal(m.Bytes, &index); err != nil {
		return fmt.Errorf("the index is malformed: %w", err)
	}
	var wanted []ocispec.Descriptor
	for _, desc := range index.Manifests {
		if p.seen[desc.Digest] || p.have != nil && !p.have(desc) {
			continue
		}
		p.seen[desc.Digest] = true
		if p.size += max(desc.Size, 0); p.size > maxPlanned {
			return fmt.Errorf("its manifests are over %d bytes together: %w", maxPlanned, ErrTooLarge)
		}
		if wanted = append(wanted, desc); len(p.seen) > maxManifests {
			return fmt.Errorf("it has more than %d manifests: %w", maxManifests, ErrTooLarge)
		}
	}
	children, err := p.fetch(ctx, wanted)
	if err != nil {
		return err
	}
	for _, child := range children {
		if err := p.add(ctx, child, depth); err != nil {
			return err
		}
	}
	return nil
}

// fetch reads the manifests of one index, several at a time.
func (p *planner) fetch(ctx context.Context, descs []ocispec.Descriptor) ([]Manifest, error) {
	manifests := make([]Manifest, len(descs))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(copyJobs)
	for i, desc := range descs {
		g.Go(func() (err error) {
			manifests[i], err = fetchManifest(ctx, p.src, p.ref, desc)
			return err
		})
	}
	return manifests, g.Wait()
}

// fetchManifest reads the manifest desc names, which must be what desc says.
func fetchManifest(ctx context.Context, src Source, ref Reference, desc ocispec.Descriptor) (Manifest, error) {
	if err := checkDescriptor(desc, MaxManifest); err != nil {
		return Manifest{}, err
	}
	if kindOf(desc.MediaType) == kindUnknown {
		return Manifest{}, fmt.Errorf("%s: manifests of type %q are not supported", desc.Digest, desc.MediaType)
	}
	m, err := readManifest(ctx, src, ref.WithDigest(desc.Digest.String()))
	if errors.Is(err, ErrNotFound) {
		return m, fmt.Errorf("a manifest it names is not there; was it pulled for one platform only? %w", err)
	}
	if err != nil {
		return m, err
	}
	if m.Descriptor.Size != desc.Size || m.Descriptor.MediaType != desc.MediaType {
		return Manifest{}, fmt.Errorf("%s is %d bytes of %s, announced as %d of %q: %w", desc.Digest,
			m.Descriptor.Size, m.Descriptor.MediaType, desc.Size, desc.MediaType, ErrDigestMismatch)
	}
	return m, nil
}

// blobsOf lists the config and layers of an image manifest.
func blobsOf(m Manifest) ([]planBlob, error) {
	var content ocispec.Manifest
	if err := boundedjson.Unmarshal(m.Bytes, &content); err != nil {
		return nil, fmt.Errorf("the manifest is malformed: %w", err)
	}
	if len(content.Layers) > maxLayers {
		return nil, fmt.Errorf("it has %d layers, at most %d are allowed: %w", len(content.Layers), maxLayers, ErrTooLarge)
	}
	blobs := []planBlob{{content.Config, MaxConfig}}
	for _, layer := range content.Layers {
		if isForeign(layer) {
			return nil, fmt.Errorf("layer %s is kept outside the registry (foreign layer), which is refused", layer.Digest)
		}
		blobs = append(blobs, planBlob{layer, MaxLayer})
	}
	for _, blob := range blobs {
		if err := checkDescriptor(blob.desc, blob.limit); err != nil {
			return nil, err
		}
	}
	return blobs, nil
}

// Config reads the config of the image manifest m, of ref's repository.
func Config(ctx context.Context, src Source, ref Reference, m Manifest) ([]byte, error) {
	if kindOf(m.Descriptor.MediaType) != kindImage {
		return nil, malformed("%s is a %q, which has no config", m.Descriptor.Digest, m.Descriptor.MediaType)
	}
	blobs, err := blobsOf(m)
	if err != nil {
		return nil, err
	}
	return src.Blob(ctx, ref, blobs[0].desc, blobs[0].limit)
}

// isForeign recognises layers that are fetched from somewhere else: those with
// URLs, and the types docker and OCI reserved for them.
func isForeign(desc ocispec.Descriptor) bool {
	return len(desc.URLs) > 0 ||
		strings.Contains(desc.MediaType, ".layer.nondistributable.") ||
		strings.Contains(desc.MediaType, ".rootfs.foreign.")
}
