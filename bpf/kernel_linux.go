// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelRelease is what `uname -r` prints.
func kernelRelease() string {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// kernelAtLeast compares the release. Use it only where nothing can be tried out
// instead: distributions carry features back to older kernels.
func kernelAtLeast(major, minor int) bool {
	var haveMajor, haveMinor int
	if n, err := fmt.Sscanf(kernelRelease(), "%d.%d", &haveMajor, &haveMinor); n != 2 || err != nil {
		return true
	}
	return haveMajor > major || (haveMajor == major && haveMinor >= minor)
}

// kernelSince is kernelAtLeast of a version such as "5.8".
func kernelSince(version string) bool {
	var major, minor int
	if n, err := fmt.Sscanf(version, "%d.%d", &major, &minor); n != 2 || err != nil {
		return true
	}
	return kernelAtLeast(major, minor)
}

// unsupported says that this kernel lacks feature, which came with since ("" when
// a build option decides, as it does on a kernel that is new enough).
func unsupported(feature, since string) error {
	if since != "" && kernelSince(since) {
		since = ""
	}
	return &UnsupportedError{Feature: feature, Since: since, Kernel: kernelRelease()}
}

// bootID identifies this boot (random(4)).
func bootID() (string, error) {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id: %w", err)
	}
	return strings.TrimSpace(string(id)), nil
}
