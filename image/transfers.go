// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"time"
)

// Defaults of the settings of [RegistryOptions] that shape transfers.
const (
	// defaultMaxTransfers is what podman and skopeo allow (containers/image,
	// copy/copy.go, maxParallelDownloads); docker's daemon takes 3 down, 5 up.
	defaultMaxTransfers = 6
	// defaultChunkSize, in bytes, is the most that GitHub's registry takes, which does
	// not say so (oras-project/rust-oci-client#35). Registries that want more do
	// ([headerMinChunk]).
	defaultChunkSize = 4 << 20
	// defaultIdleTimeout is longer than any honest pause between two packets.
	defaultIdleTimeout = 30 * time.Second
)

// errStalled: the connection is open, but nothing comes through it.
var errStalled = errors.New("no byte came through for too long")

// transfers is what all blobs on their way to or from one [Registry] value share.
type transfers struct {
	// slots holds a token for each blob whose bytes are under way. Manifests and
	// lists need none: they are small, and everything else waits for them.
	slots chan struct{}
	chunk int64
	idle  time.Duration
}

func newTransfers(opts RegistryOptions) *transfers {
	t := &transfers{chunk: opts.ChunkSize, idle: opts.IdleTimeout}
	if t.chunk == 0 {
		t.chunk = defaultChunkSize
	}
	if t.idle == 0 {
		t.idle = defaultIdleTimeout
	}
	slots := opts.MaxTransfers
	if slots == 0 {
		slots = defaultMaxTransfers
	}
	t.slots = make(chan struct{}, slots)
	return t
}

// begin waits until another blob may be transferred; the caller calls end when
// it was. Nothing that itself needs a slot may be waited for meanwhile.
func (t *transfers) begin(ctx context.Context) (end func(), err error) {
	select {
	case t.slots <- struct{}{}:
		return func() { <-t.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// watchdog ends a transfer's context when nothing moved for too long.
type watchdog struct {
	timer *time.Timer
	idle  time.Duration
}

// watch returns a context for one request. The caller calls stop at its end.
func watch(ctx context.Context, idle time.Duration) (watched context.Context, dog *watchdog, stop func()) {
	watched, cancel := context.WithCancelCause(ctx)
	dog = &watchdog{time.AfterFunc(idle, func() { cancel(errStalled) }), idle}
	return watched, dog, func() {
		dog.timer.Stop()
		cancel(context.Canceled)
	}
}

// moved says that bytes came through.
func (d *watchdog) moved() { d.timer.Reset(d.idle) }

// rest ends the watch: all that is left is to wait for the answer, which has a
// timeout of its own.
func (d *watchdog) rest() { d.timer.Stop() }

// stalled puts the reason in the place of "context canceled".
func stalled(ctx context.Context, err error) error {
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return errStalled
	}
	return err
}
