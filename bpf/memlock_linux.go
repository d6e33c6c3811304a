// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// raiseMemlock lifts the limit on memory that may be locked, for this process and
// for good, where the kernel counts BPF memory in it: before 5.11, which brought
// accounting in memory cgroups instead (series "bpf: switch to memcg-based memory
// accounting"). A kernel that was given the change earlier has a limit raised that
// no longer matters.
//
// It goes by the release. Finding out would take a map, and package rlimit of
// cilium/ebpf makes one whenever a process starts that has it linked in, even to
// print its version.
func raiseMemlock() error {
	if kernelAtLeast(5, 11) {
		return nil
	}
	const op = "raising the limit of locked memory, which kernels before 5.11 count BPF memory in"
	none := &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, none, nil)
	if errors.Is(err, unix.EPERM) {
		return &PermissionError{Op: op, Capability: "CAP_SYS_RESOURCE", Err: err}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}
