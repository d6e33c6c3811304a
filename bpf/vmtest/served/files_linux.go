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

// openFiles lists the open files of this process.
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
		open[fd] = what
	}
	return open, nil
}

// shutConnections ends all TCP connections. An HTTP client keeps those to a registry for
// half a minute, in case there is another request, and closes them when it finds them
// ended. What it would do later, when another row looks at the packets on loopback,
// the end of a process does at once.
func shutConnections(open files) {
	for fd := range open {
		protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
		if err == nil && protocol == unix.IPPROTO_TCP {
			_ = unix.Shutdown(fd, unix.SHUT_RDWR) // it may have ended just now
		}
	}
}
