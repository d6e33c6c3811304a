// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"errors"
	"sync"

	"github.com/bpfimg/bpfimg/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Cached is an [image.Source] that reads from Local what a digest names and is
// there, and everything else from Remote: tags, which may have moved, and lists
// of referrers, which may have grown. It writes nothing.
type Cached struct {
	// Local is asked first. It re-hashes what it returns, as every source must;
	// content that was altered since it was stored is fetched again.
	Local image.Source
	// Remote is asked for the rest. It is not used when Offline is set.
	Remote image.Source
	// Offline takes tags and referrers from Local too; what is missing there is
	// [image.ErrNotFound].
	Offline bool

	mu sync.Mutex
	// named is what tags were found to mean; they are asked for once.
	named map[image.Reference]image.Manifest
}

var _ image.Source = (*Cached)(nil)

// Unmoved asks Remote whether ref, a tag, still names what it names in Local: one
// request, where Remote is [image.Conditional]. If so, it returns a source of what Local
// has, in which ref is that manifest whatever becomes of the tag in Local. It returns
// nil, and no error, if ref moved, Local does not know it, or it is no tag; then what
// Remote said is not asked for again.
func (c *Cached) Unmoved(ctx context.Context, ref image.Reference) (image.Source, error) {
	remote, ok := c.Remote.(image.Conditional)
	if !ok || ref.Digest() != "" {
		return nil, nil
	}
	known, err := c.Local.Manifest(ctx, ref)
	if err != nil {
		return nil, ctx.Err() // whatever is wrong with it, Remote is asked for it
	}
	m, err := remote.ManifestUnless(ctx, ref, known)
	if err != nil {
		return nil, err
	}
	named := map[image.Reference]image.Manifest{ref: m}
	if m.Descriptor.Digest == known.Descriptor.Digest {
		return &Cached{Local: c.Local, Offline: true, named: named}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.named = named
	return nil, nil
}

func (c *Cached) known(ref image.Reference) (image.Manifest, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.named[ref]
	return m, ok
}

// Manifest implements [image.Source].
func (c *Cached) Manifest(ctx context.Context, ref image.Reference) (image.Manifest, error) {
	if m, ok := c.known(ref); ok {
		return m, ctx.Err()
	}
	if c.Offline {
		return c.Local.Manifest(ctx, ref)
	}
	if ref.Digest() != "" {
		m, err := c.Local.Manifest(ctx, ref)
		if !fetchAgain(err) {
			return m, err
		}
	}
	return c.Remote.Manifest(ctx, ref)
}

// Blob implements [image.Source].
func (c *Cached) Blob(ctx context.Context, ref image.Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	data, err := c.Local.Blob(ctx, ref, desc, limit)
	if c.Offline || !fetchAgain(err) {
		return data, err
	}
	return c.Remote.Blob(ctx, ref, desc, limit)
}

// Referrers implements [image.Source].
func (c *Cached) Referrers(ctx context.Context, ref image.Reference) ([]ocispec.Descriptor, error) {
	if c.Offline {
		return c.Local.Referrers(ctx, ref)
	}
	return c.Remote.Referrers(ctx, ref)
}

// Unasked says offline what Local does without; the registry itself is not asked for
// less than everything.
func (c *Cached) Unasked(ctx context.Context, ref image.Reference) (image.Unasked, error) {
	local, ok := c.Local.(recorder)
	if !c.Offline || !ok {
		return image.Unasked{}, nil
	}
	return local.Unasked(ctx, ref)
}

// fetchAgain says whether the local answer leaves something to ask the remote.
func fetchAgain(err error) bool {
	return errors.Is(err, image.ErrNotFound) || errors.Is(err, image.ErrDigestMismatch)
}
