// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// PutBlob implements [Sink].
func (r *Registry) PutBlob(ctx context.Context, ref Reference, desc ocispec.Descriptor, data []byte, mountFrom string) error {
	if err := checkContent(data, desc); err != nil {
		return fmt.Errorf("pushing blob of %s: %w", ref, err)
	}
	return r.putBlob(ctx, ref, desc, mountFrom, func(context.Context) ([]byte, error) { return data, nil })
}

// putBlob implements [lazySink]: data is asked for only when the registry has
// the blob neither here nor at mountFrom.
func (r *Registry) putBlob(ctx context.Context, ref Reference, desc ocispec.Descriptor, mountFrom string, data blobReader) error {
	at := ref.WithDigest(desc.Digest.String())
	layer := &blobLayer{ctx: ctx, desc: desc, read: data, progress: r.progress}
	mountFrom = r.mountable(ref, mountFrom)
	err := r.write(ctx, operation{"pushing blob", at}, MaxManifest, func(ctx context.Context, s *session) error {
		return s.upload(ctx, layer, mountFrom)
	})
	if err != nil {
		return err
	}
	if layer.opened() {
		r.progress.report(desc, desc.Size, EventDone)
	} else {
		r.progress.report(desc, desc.Size, EventExists)
	}
	return nil
}

// upload looks for the blob, has it mounted or uploads it. It makes a pusher of
// its own, because a shared one remembers failures and contexts of other
// callers; retries are ours, so the pusher makes none.
func (s *session) upload(ctx context.Context, layer *blobLayer, mountFrom string) error {
	pusher, err := remote.NewPusher(
		remote.WithTransport(s.transport),
		remote.WithRetryPredicate(func(error) bool { return false }),
		remote.WithRetryBackoff(remote.Backoff{Steps: 1}),
	)
	if err != nil {
		return err
	}
	if mountFrom == "" || mountFrom == s.repo.RepositoryStr() {
		return pusher.Upload(ctx, s.repo, layer)
	}
	from := s.repo.Repo(mountFrom).Digest(layer.desc.Digest.String())
	return pusher.Upload(ctx, s.repo, &remote.MountableLayer{Layer: layer, Reference: from})
}

// blobReader gets a blob from the other side of a copy.
type blobReader func(ctx context.Context) ([]byte, error)

// blobLayer lends a blob to the registry library's uploader.
type blobLayer struct {
	ctx      context.Context
	desc     ocispec.Descriptor
	read     blobReader
	progress reporter

	mu   sync.Mutex
	open bool
	data []byte
}

var _ v1.Layer = (*blobLayer)(nil)

// Digest implements [v1.Layer].
func (l *blobLayer) Digest() (v1.Hash, error) { return v1.NewHash(l.desc.Digest.String()) }

// DiffID implements [v1.Layer]; uploads do not need it.
func (l *blobLayer) DiffID() (v1.Hash, error) { return v1.Hash{}, errors.ErrUnsupported }

// Uncompressed implements [v1.Layer]; uploads do not need it.
func (l *blobLayer) Uncompressed() (io.ReadCloser, error) { return nil, errors.ErrUnsupported }

// Size implements [v1.Layer].
func (l *blobLayer) Size() (int64, error) { return l.desc.Size, nil }

// MediaType implements [v1.Layer]. It says nothing on purpose: the uploader
// would leave some types out without a word.
func (l *blobLayer) MediaType() (types.MediaType, error) { return "application/octet-stream", nil }

// Compressed implements [v1.Layer]: the blob as it is.
func (l *blobLayer) Compressed() (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open {
		data, err := l.read(l.ctx)
		if err != nil {
			return nil, &sourceError{err}
		}
		if err := checkContent(data, l.desc); err != nil {
			return nil, &sourceError{err}
		}
		l.data, l.open = data, true
	}
	return &countingReader{r: bytes.NewReader(l.data), layer: l}, nil
}

// opened says whether the content was needed.
func (l *blobLayer) opened() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// countingReader reports how far an upload is.
type countingReader struct {
	r     *bytes.Reader
	layer *blobLayer
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if n > 0 {
		c.layer.progress.report(c.layer.desc, c.layer.desc.Size-int64(c.r.Len()), EventTransfer)
	}
	return n, err
}

func (c *countingReader) Close() error { return nil }
