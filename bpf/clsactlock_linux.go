// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"golang.org/x/sys/unix"
)

// qdiscWait bounds waiting for another bpfimg that adds a filter or removes a
// qdisc, each of which is a few system calls.
const qdiscWait = 2 * time.Second

// errQdiscBusy: somebody held the lock all the time.
var errQdiscBusy = errors.New("somebody holds the lock of the network namespace")

// lockQdiscs locks the clsact qdiscs of the calling thread's network namespace
// among all bpfimg, whatever their state folders: shared to add filters, or
// exclusively to look whether a qdisc is empty and remove it, which the kernel
// cannot do in one step. It is an flock(2) on the namespace itself, which everybody
// may take; so who cannot get it goes on: without it nobody removes a qdisc, and
// then nobody needs it to add a filter.
func lockQdiscs(ctx context.Context, how int) (io.Closer, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, qdiscWait)
	defer cancel()
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, joined.Errors(fmt.Errorf("locking the network namespace: %w", err), f.Close())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, joined.Errors(fmt.Errorf("%w: %w", errQdiscBusy, context.Cause(ctx)), f.Close())
		}
	}
}
