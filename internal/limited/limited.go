// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package limited reads files that others wrote, and never more of one than was
// asked for.
//
// Doors: [ReadFile], and [Open] for what must be a regular file.
package limited

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// ReadFile reads the file at path unless it is over limit bytes, whatever its size
// was said to be. It may be a pipe, such as /dev/fd/63 of a shell; one that nobody
// writes to is empty and not waited for, since nothing could end the waiting.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s: over the limit of %d bytes", path, limit)
	}
	return data, nil
}
