// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/bpfimg/bpfimg/internal/pause"
)

// errLocked is what tryLock answers while someone else holds the lock.
var errLocked = errors.New("locked")

// Waiting for a lock polls, because no system lets a blocking lock be cancelled.
const (
	lockPoll    = 2 * time.Millisecond
	lockPollMax = 50 * time.Millisecond
)

// lockFile takes an exclusive lock on path, see openLocked.
func lockFile(ctx context.Context, path string) (unlock func() error, err error) {
	f, err := openLocked(ctx, path)
	if err != nil {
		return nil, err
	}
	return f.Close, nil
}

// openLocked takes an exclusive lock on path, which it creates. It is held by the
// open file, so that it ends with the process, however that ends. It excludes
// other goroutines too.
func openLocked(ctx context.Context, path string) (*os.File, error) {
	f, err := limited.Open(path, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, err
	}
	for poll := lockPoll; ; poll = min(2*poll, lockPollMax) {
		err := tryLock(f)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, errLocked) {
			return nil, joined.Errors(err, f.Close())
		}
		if err := pause.For(ctx, poll); err != nil {
			return nil, joined.Errors(err, f.Close())
		}
	}
}
