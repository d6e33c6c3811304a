// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build unix

package image

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// tryLock takes a BSD lock, which belongs to the open file and not, like a POSIX
// one, to the process.
func tryLock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EINTR) {
		return errLocked
	}
	return err
}
