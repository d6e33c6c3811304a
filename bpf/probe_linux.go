// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// tinyProgram loads spec with instructions that return 0, to find out what the
// kernel takes. The errors are the kernel's own.
func tinyProgram(spec *ebpf.ProgramSpec) (*ebpf.Program, error) {
	spec.License = "Dual MIT/GPL"
	spec.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	return ebpf.NewProgramWithOptions(spec, ebpf.ProgramOptions{LogDisabled: true})
}

// inNewNetns calls f on a thread in a network namespace of its own, which ends
// with it. It needs CAP_SYS_ADMIN.
func inNewNetns(f func() error) error {
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with this goroutine.
		runtime.LockOSThread()
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			result <- fmt.Errorf("making a network namespace to try it in: %w", err)
			return
		}
		result <- f()
	}()
	return <-result
}
