// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/limited"
	"golang.org/x/sys/unix"
)

// Waiting for the lock.
const (
	defaultLockWait = 10 * time.Second
	lockPoll        = 20 * time.Millisecond
)

// fileLock is an flock(2) that says who holds it. The kernel drops it with the
// process, however that ends.
type fileLock struct{ f *os.File }

// tryLock takes the lock at path, or returns nil and the holder's process id
// ("unknown" before it has written it).
func tryLock(path string) (*fileLock, string, error) {
	f, err := limited.Open(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, "", fmt.Errorf("opening the lock: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, readHolder(f), f.Close()
	}
	if err == nil {
		err = joined.Errors(f.Truncate(0), writeAtStart(f, strconv.Itoa(os.Getpid())+"\n"))
		if diskFull(err) {
			err = nil // the lock holds; who has it is then unknown to others
		}
	}
	if err != nil {
		return nil, "", joined.Errors(fmt.Errorf("taking the lock %s: %w", path, err), f.Close())
	}
	return &fileLock{f: f}, "", nil
}

func readHolder(f *os.File) string {
	pid, err := io.ReadAll(io.LimitReader(f, 20))
	if s := strings.TrimSpace(string(pid)); err == nil && s != "" {
		return s
	}
	return "unknown"
}

func writeAtStart(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// Unlock gives the lock up. The file stays: removing it would let two others
// each lock a file of that name.
func (l *fileLock) Unlock() error { return l.f.Close() }

// lock makes this the only bpfimg that changes instances of this state folder.
// It waits up to the limit of [Options] or until ctx ends; the error wraps
// [ErrLocked] and names the process that has it.
func (m *Manager) lock(ctx context.Context) (*fileLock, error) {
	if err := os.MkdirAll(m.state, 0o700); err != nil {
		return nil, fmt.Errorf("making the state folder: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, m.lockWait)
	defer cancel()
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	path := filepath.Join(m.state, "lock")
	for {
		l, holder, err := tryLock(path)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: process %s holds %s: %w", ErrLocked, holder, path, context.Cause(ctx))
		}
	}
}
