// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/internal/ownthread"
)

// tinyProgram loads spec with instructions that do nothing but return a number, to
// find out what the kernel takes. The errors are the kernel's own.
func tinyProgram(spec *ebpf.ProgramSpec, result int32) (*ebpf.Program, error) {
	spec.License = "Dual MIT/GPL"
	spec.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, result), asm.Return()}
	return ebpf.NewProgramWithOptions(spec, ebpf.ProgramOptions{LogDisabled: true})
}

// createLink is BPF_LINK_CREATE, for links that the loader's library does not know.
// attr is the part of union bpf_attr for them, and names prog.
func createLink[T any](prog *ebpf.Program, attr *T) (link.Link, error) {
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_LINK_CREATE, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
	runtime.KeepAlive(prog)
	if errno != 0 {
		return nil, errno
	}
	return link.NewFromFD(int(fd))
}

// inNewNetns calls f on a thread in a network namespace of its own, which ends
// with it. It needs CAP_SYS_ADMIN.
func inNewNetns(f func() error) error {
	return ownthread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace to try it in: %w", err)
		}
		return f()
	})
}
