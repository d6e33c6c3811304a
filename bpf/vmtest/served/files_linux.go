// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package served

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// openFiles lists the open files of this process, but for TCP connections: those to
// a registry stay open for half a minute in case there is another request, which is
// no mistake.
func openFiles() (files, error) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("listing open files: %w", err)
	}
	open := files{}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return nil, fmt.Errorf("listing open files: %w", err)
		}
		what, err := os.Readlink(dir + "/" + entry.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue // that of the folder itself
		}
		if err != nil {
			return nil, fmt.Errorf("listing open files: %w", err)
		}
		if protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL); err == nil && protocol == unix.IPPROTO_TCP {
			continue
		}
		open[fd] = what
	}
	return open, nil
}
