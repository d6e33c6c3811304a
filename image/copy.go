// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

const (
	// copyJobs is how many blobs or manifests are copied at a time.
	copyJobs = 4
	// copyBytes is how many bytes of blobs are held at a time, where one blob alone
	// is not more: each is in memory from its source to its destination.
	copyBytes = MaxLayer
)

// CopyOptions of [Copy]; the zero value copies the image alone.
type CopyOptions struct {
	// Referrers copies what is attached to the image and its children too:
	// referrers, and the signatures and attestations of cosign 2, which are found
	// by their tags.
	Referrers bool
	// Attached, if set, is asked about every referrer; those it denies are left out. It
	// is for a [Store] that has more than belongs to one name: [Store.PushOptions].
	Attached func(desc ocispec.Descriptor) bool
	// AlsoFrom are other repositories of the source that may have what cosign 2
	// attached by tag; the first that has a tag counts, srcRef's own before them.
	// Default: all of a [Store], unless Attached is set, and none of other sources.
	AlsoFrom []Reference
	// Whole lists images, srcRef's or below it, of which the source has all that is
	// attached to them. A [Store] remembers that: [Store.Whole].
	Whole []digest.Digest
	// Have, if set, is asked about every child of an index and every referrer;
	// those it denies are left out. It is for sources that hold part of an image.
	Have func(desc ocispec.Descriptor) bool
	// NoDownload copies only blobs that the destination has or takes over by
	// itself; any other is [ErrNotMounted].
	NoDownload bool
	// Progress, if set, hears of every manifest and blob that arrived, and of
	// referrers that were skipped. It must be safe for concurrent use. Bytes on
	// their way are reported by [RegistryOptions.Progress].
	Progress func(Event)
}

// Copy copies the image or index srcRef names, with everything below it, and
// stores it as dstRef. It returns what srcRef resolved to. Digests never change.
// What dst has is not transferred again; blobs move within one registry without
// passing through here. A [Store] gets all of it, durably, or none.
//
// Foreign layers (those with URLs) are refused, as are images over the limits of
// this package. A referrer that cannot be read at its source, because it is
// missing, damaged or too large, is skipped: anyone can attach one, and a bad one
// must not keep the image from being copied.
func Copy(ctx context.Context, dst Sink, dstRef Reference, src Source, srcRef Reference, opts CopyOptions) (ocispec.Descriptor, error) {
	c := newCopier(dst, dstRef, src, srcRef, opts)
	defer c.close()
	root, err := readManifest(ctx, src, srcRef)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if _, err := checkManifest(dstRef, root); err != nil {
		return ocispec.Descriptor{}, err
	}
	images, err := c.copyTree(ctx, root, dstRef, opts.Whole)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if opts.Referrers {
		if err := c.copyAttached(ctx, images); err != nil {
			return ocispec.Descriptor{}, err
		}
	}
	if err := c.commit(ctx); err != nil {
		return ocispec.Descriptor{}, err
	}
	return root.Descriptor, nil
}

// lazySink is a [Sink] that asks for a blob's content only when it needs it.
type lazySink interface {
	putBlob(ctx context.Context, ref Reference, desc ocispec.Descriptor, mountFrom string, data blobReader) error
}

// batchSink is a [Sink] that takes all manifests of one copy as a whole.
type batchSink interface {
	// batch begins a copy. whole is [CopyOptions].Whole.
	batch(whole []digest.Digest) (sinkBatch, error)
}

// sinkBatch takes the manifests of one copy, after their blobs. It is not safe for
// concurrent use.
type sinkBatch interface {
	// putChild takes a manifest that only its index names.
	putChild(ctx context.Context, ref Reference, m Manifest) error
	// putRoot takes a manifest that gets a name, or is a referrer, and whose children
	// were put before. It is errMissingBlob if a blob of it is gone again.
	putRoot(ctx context.Context, ref Reference, m Manifest, children []planNode) error
	// commit stores all that was put. It is errMissingBlob if something of that is
	// gone again; then nothing is stored.
	commit(ctx context.Context) error
	// reset forgets what was put.
	reset()
	close()
}

var (
	_ lazySink  = (*Registry)(nil)
	_ lazySink  = (*Store)(nil)
	_ batchSink = (*Store)(nil)
)

// copyPut is a manifest with all below it, children first, and where it goes.
type copyPut struct {
	nodes  []planNode
	dstRef Reference
	// attached says that it is left out if its source no longer has it.
	attached bool
}

func (p copyPut) root() Manifest { return p.nodes[len(p.nodes)-1].manifest }

// copier is one call of [Copy].
type copier struct {
	dst            Sink
	src            Source
	dstRef, srcRef Reference
	have, attached func(ocispec.Descriptor) bool
	alsoFrom       []Reference
	noDownload     bool
	progress       reporter
	mounts         func(digest.Digest) string
	// batch is the destination's, nil if it takes each manifest by itself; puts is
	// what went into it.
	batch sinkBatch
	puts  []copyPut
	// heldSmall and heldLarge count the bytes of the manifests of what is attached, see
	// [copier.takeRoom].
	heldSmall, heldLarge int

	mu     sync.Mutex
	copied map[digest.Digest]bool
}

func newCopier(dst Sink, dstRef Reference, src Source, srcRef Reference, opts CopyOptions) *copier {
	if store, ok := dst.(*Store); ok {
		if _, ok := src.(*Registry); ok {
			src = store.Share(src, ShareOptions{})
		}
	}
	if store, ok := src.(*Store); ok && opts.Attached == nil && opts.AlsoFrom == nil {
		opts.AlsoFrom = store.legacyRepositories(srcRef)
	}
	return &copier{
		dst: dst, src: src, dstRef: dstRef, srcRef: srcRef,
		have: opts.Have, attached: opts.Attached, alsoFrom: opts.AlsoFrom,
		noDownload: opts.NoDownload, progress: opts.Progress,
		mounts: mountLookup(dst, dstRef, src, srcRef),
		copied: map[digest.Digest]bool{},
	}
}

// mountLookup guesses which repository of the destination's registry has a blob.
func mountLookup(dst Sink, dstRef Reference, src Source, srcRef Reference) func(digest.Digest) string {
	if _, ok := dst.(*Registry); ok {
		switch from := src.(type) {
		case *Registry:
			if srcRef.registry == dstRef.registry {
				return func(digest.Digest) string { return srcRef.repository }
			}
		case *Store:
			sources := from.mountSources(dstRef)
			return func(d digest.Digest) string { return sources[d] }
		}
	}
	return func(digest.Digest) string { return "" }
}

// copyTree copies root and all below it and returns the manifests it copied.
// dstRef names the root. Nothing is written before it is known what there is to copy.
func (c *copier) copyTree(ctx context.Context, root Manifest, dstRef Reference, whole []digest.Digest) ([]Manifest, error) {
	nodes, err := c.plan(ctx, root)
	if err != nil {
		return nil, err
	}
	if apart, ok := c.dst.(batchSink); ok {
		if c.batch, err = apart.batch(whole); err != nil {
			return nil, err
		}
	}
	return c.copyNodes(ctx, copyPut{nodes: nodes, dstRef: dstRef})
}

func (c *copier) plan(ctx context.Context, root Manifest) ([]planNode, error) {
	p := planner{src: c.src, ref: c.srcRef, have: c.have, seen: map[digest.Digest]bool{root.Descriptor.Digest: true}}
	if err := p.add(ctx, root, 0); err != nil {
		return nil, fmt.Errorf("%s: %w", c.srcRef.WithDigest(root.Descriptor.Digest.String()), err)
	}
	return p.nodes, nil
}

// putRounds is how often all is copied again of which something was removed from
// the destination before the root, which keeps it, arrived.
const putRounds = 10

// errGoneAgain ends that. It is no ErrNotFound: the image is there, at its source.
var errGoneAgain = errors.New("what it needs is gone again each time, or not what it says; try again when no `bpfimg rm` or `bpfimg prune --now` runs")

// copyNodes copies all blobs and then the manifests, the last of which is the
// root, and returns them.
func (c *copier) copyNodes(ctx context.Context, p copyPut) ([]Manifest, error) {
	if err := c.copyOften(ctx, p); err != nil {
		return nil, err
	}
	c.puts = append(c.puts, p)
	var manifests []Manifest
	for _, node := range p.nodes {
		c.progress.report(node.manifest.Descriptor, node.manifest.Descriptor.Size, EventDone)
		manifests = append(manifests, node.manifest)
	}
	return manifests, nil
}

// copyOften copies until all is there at once.
func (c *copier) copyOften(ctx context.Context, p copyPut) error {
	for round := 1; ; round++ {
		err := c.copyOnce(ctx, p)
		again := errors.Is(err, errMissingBlob) || round == 1 && errors.Is(err, ErrBlobsMissing)
		if !again {
			return err
		}
		if round == putRounds {
			return fmt.Errorf("storing %s: %w", p.dstRef, errGoneAgain)
		}
		c.forget(p.nodes)
	}
}

func (c *copier) copyOnce(ctx context.Context, p copyPut) error {
	if err := c.copyBlobs(ctx, p.nodes); err != nil {
		return err
	}
	put := c.dst.PutManifest
	if c.batch != nil {
		put = c.batch.putChild
	}
	children := p.nodes[:len(p.nodes)-1]
	for _, child := range children {
		at := c.dstRef.WithDigest(child.manifest.Descriptor.Digest.String())
		if err := put(ctx, at, child.manifest); err != nil {
			return err
		}
	}
	if c.batch != nil {
		return c.batch.putRoot(ctx, p.dstRef, p.root(), children)
	}
	return put(ctx, p.dstRef, p.root())
}

// commit stores what is in the batch. If something of it is gone by then, all is
// copied again; what is still there is not transferred.
func (c *copier) commit(ctx context.Context) error {
	if c.batch == nil {
		return nil
	}
	for round := 1; ; round++ {
		err := c.batch.commit(ctx)
		if !errors.Is(err, errMissingBlob) {
			return err
		}
		if round == putRounds {
			return fmt.Errorf("storing %s: %w", c.dstRef, errGoneAgain)
		}
		if err := c.copyAgain(ctx); err != nil {
			return err
		}
	}
}

// copyAgain fills the batch anew.
func (c *copier) copyAgain(ctx context.Context) error {
	c.batch.reset()
	for _, p := range c.puts {
		c.forget(p.nodes)
	}
	for _, p := range c.puts {
		err := c.copyOften(ctx, p)
		if p.attached {
			err = c.skip(ctx, p.root().Descriptor, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) close() {
	if c.batch != nil {
		c.batch.close()
	}
}

// copyBlobs copies the blobs of all nodes, several at a time, each once.
func (c *copier) copyBlobs(ctx context.Context, nodes []planNode) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(copyJobs)
	room := semaphore.NewWeighted(copyBytes)
	for _, node := range nodes {
		for _, blob := range node.blobs {
			if !c.begin(blob.desc.Digest) {
				continue
			}
			g.Go(func() error {
				size := min(blob.desc.Size, copyBytes)
				if err := room.Acquire(ctx, size); err != nil {
					return err
				}
				defer room.Release(size)
				return c.copyBlob(ctx, blob)
			})
		}
	}
	return g.Wait()
}

func (c *copier) copyBlob(ctx context.Context, blob planBlob) error {
	read := func(ctx context.Context) ([]byte, error) {
		if c.noDownload {
			return nil, &sourceError{fmt.Errorf("copying %s: blob %s: %w", c.srcRef, blob.desc.Digest, ErrNotMounted)}
		}
		data, err := c.src.Blob(ctx, c.srcRef, blob.desc, blob.limit)
		if err != nil {
			return nil, &sourceError{err}
		}
		return data, nil
	}
	var err error
	if lazy, ok := c.dst.(lazySink); ok {
		err = lazy.putBlob(ctx, c.dstRef, blob.desc, c.mounts(blob.desc.Digest), read)
	} else {
		var data []byte
		if data, err = read(ctx); err == nil {
			err = c.dst.PutBlob(ctx, c.dstRef, blob.desc, data, c.mounts(blob.desc.Digest))
		}
	}
	if err != nil {
		return err
	}
	c.progress.report(blob.desc, blob.desc.Size, EventDone)
	return nil
}

// begin says whether the blob is still to be copied, once.
func (c *copier) begin(d digest.Digest) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.copied[d] {
		return false
	}
	c.copied[d] = true
	return true
}

func (c *copier) forget(nodes []planNode) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, node := range nodes {
		for _, blob := range node.blobs {
			delete(c.copied, blob.desc.Digest)
		}
	}
}
