// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// maxTreeNodes bounds what [Tree] looks at, and maxTreeDepth how deep. A node costs
// five requests, and more than a list of referrers has is nothing to look at.
const (
	maxTreeNodes = maxManifests + MaxReferrers
	maxTreeDepth = 8
)

// Node is one manifest and what belongs to it.
type Node struct {
	// Kind says what it is, as far as that shows.
	Kind NodeKind `json:"kind"`
	// Type is the artifactType, or the predicate type of an attestation. Foreign
	// text, "" for ordinary images.
	Type string `json:"type,omitempty"`
	// Bytecode: the manifest says, in its artifactType or annotations, that it holds BPF
	// bytecode. Labels are not looked at, which are all that bpfman's images have.
	Bytecode   bool               `json:"bytecode,omitempty"`
	Descriptor ocispec.Descriptor `json:"descriptor"`
	// Platform is "os/arch[/variant]" for the children of an index.
	Platform string `json:"platform,omitempty"`
	// Tag is set for what cosign 2 attached by tag.
	Tag string `json:"tag,omitempty"`
	// Size is that of the manifest, its config and its layers in bytes, as the
	// manifest says; children and referrers have their own.
	Size int64 `json:"size"`
	// Problem says why there is no more to say, such as a platform that was not
	// pulled.
	Problem string `json:"problem,omitempty"`
	// Children are the platforms of an index, Referrers what is attached.
	Children  []*Node `json:"children,omitempty"`
	Referrers []*Node `json:"referrers,omitempty"`
}

// Tree reads the manifest ref names, all below it and all attached to any of
// that, but no layers. Only a root that cannot be read is an error; anything else
// is the [Node.Problem] of its node.
func Tree(ctx context.Context, src Source, ref Reference) (*Node, error) {
	root, err := readManifest(ctx, src, ref)
	if err != nil {
		return nil, err
	}
	w := &treeWalk{src: src, ref: ref, seen: map[digest.Digest]bool{root.Descriptor.Digest: true}}
	node := &Node{Descriptor: root.Descriptor}
	w.fill(ctx, node, root, 0)
	return node, ctx.Err()
}

// treeWalk is one call of [Tree].
type treeWalk struct {
	src  Source
	ref  Reference
	seen map[digest.Digest]bool
}

// fill says what m is and looks for what belongs to it.
func (w *treeWalk) fill(ctx context.Context, n *Node, m Manifest, depth int) {
	var content struct {
		manifestHead
		Layers []ocispec.Descriptor `json:"layers"`
	}
	if err := boundedjson.Unmarshal(m.Bytes, &content); err != nil {
		n.Problem = "its manifest is malformed"
		return
	}
	n.Size = n.Descriptor.Size
	if content.Config != nil {
		n.Size += max(content.Config.Size, 0)
	}
	for _, layer := range content.Layers {
		n.Size += max(layer.Size, 0)
	}
	if content.Subject != nil {
		n.Descriptor.ArtifactType = content.artifactKind() // a list may have said another
	}
	if n.Kind == "" {
		n.Kind, n.Type = kindOfNode(content.manifestHead, content.Layers)
	}
	n.Bytecode = content.saysBytecode()
	if depth == maxTreeDepth {
		n.Problem = fmt.Sprintf("nothing is shown more than %d levels deep", maxTreeDepth)
		return
	}
	if n.Kind == KindIndex {
		w.children(ctx, n, m, depth)
	}
	w.attached(ctx, n, depth)
}

// children adds the entries of an index.
func (w *treeWalk) children(ctx context.Context, n *Node, m Manifest, depth int) {
	var index ocispec.Index
	if err := boundedjson.Unmarshal(m.Bytes, &index); err != nil {
		n.Problem = "the index is malformed"
		return
	}
	for _, desc := range index.Manifests {
		child := &Node{Kind: KindImage, Descriptor: desc, Platform: platformText(desc.Platform)}
		if desc.Annotations["vnd.docker.reference.type"] == "attestation-manifest" {
			child.Kind = KindAttestation
		} else if kindOf(desc.MediaType) == kindIndex {
			child.Kind = KindIndex
		}
		if !w.follow(ctx, &n.Children, child, fetchManifest, depth) {
			n.Problem = tooMany
			return
		}
	}
}

const tooMany = "there is more than is shown"

// fetcher reads what an index or a list of referrers names.
type fetcher func(context.Context, Source, Reference, ocispec.Descriptor) (Manifest, error)

// follow reads the manifest of child and adds it to list. false: there are too
// many already.
func (w *treeWalk) follow(ctx context.Context, list *[]*Node, child *Node, fetch fetcher, depth int) bool {
	d := child.Descriptor.Digest
	if w.seen[d] {
		return true
	}
	if len(w.seen) >= maxTreeNodes {
		return false
	}
	w.seen[d] = true
	*list = append(*list, child)
	m, err := fetch(ctx, w.src, w.ref, child.Descriptor)
	switch {
	case errors.Is(err, ErrNotFound):
		child.Problem = "not here"
	case err != nil:
		child.Problem = err.Error()
	default:
		child.Descriptor.MediaType, child.Descriptor.Size = m.Descriptor.MediaType, m.Descriptor.Size
		w.fill(ctx, child, m, depth+1)
	}
	return true
}

// attached adds what refers to n: the list of referrers and cosign 2's tags,
// asked for side by side.
func (w *treeWalk) attached(ctx context.Context, n *Node, depth int) {
	subject := w.ref.WithDigest(n.Descriptor.Digest.String())
	var (
		list   []ocispec.Descriptor
		legacy = make([]*Node, len(legacySuffixes))
		g      errgroup.Group
		err    error
	)
	g.Go(func() error {
		list, err = w.src.Referrers(ctx, subject)
		return nil // a tree without them is better than none
	})
	for i, suffix := range legacySuffixes {
		g.Go(func() error {
			legacy[i] = w.legacy(ctx, subject, suffix)
			return nil
		})
	}
	_ = g.Wait() // no function returns one
	if err != nil {
		n.Problem = err.Error()
	}
	for _, desc := range list {
		if !w.follow(ctx, &n.Referrers, &Node{Descriptor: desc}, fetchReferrer, depth) {
			n.Problem = tooMany
			break
		}
	}
	for _, node := range legacy {
		if node != nil && !w.seen[node.Descriptor.Digest] {
			w.seen[node.Descriptor.Digest] = true
			n.Referrers = append(n.Referrers, node)
		}
	}
}

// legacy returns what cosign 2 attached by tag, nil if there is nothing.
func (w *treeWalk) legacy(ctx context.Context, subject Reference, suffix string) *Node {
	tag := LegacyTag(digest.Digest(subject.digest), suffix)
	if tag == "" {
		return nil
	}
	m, err := readManifest(ctx, w.src, w.ref.WithTag(tag))
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	node := &Node{Kind: legacyKinds[suffix], Tag: tag, Descriptor: m.Descriptor}
	if err != nil {
		node.Problem = err.Error()
		return node
	}
	node.Size = m.Descriptor.Size
	blobs, err := blobsOf(m)
	if err != nil {
		node.Problem = err.Error()
	}
	for _, blob := range blobs {
		node.Size += blob.desc.Size
	}
	return node
}

func platformText(p *ocispec.Platform) string {
	if p == nil {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}
