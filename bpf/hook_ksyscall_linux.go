// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/cilium/ebpf"
)

// ksyscallHook attaches to the kernel's function for a system call, or with ret
// to its return. What that is called depends on architecture and kernel.
type ksyscallHook struct{ kprobeHook }

func (ksyscallHook) target() (what, example string) { return "a system call", "unlinkat" }

// prepare says plainly when the kernel has no such system call.
func (ksyscallHook) prepare(_ context.Context, h *host, p *placement) error {
	p.spec.AttachType = ebpf.AttachNone // of a section for kprobe.multi
	function, err := syscallFunction(p.link.Target)
	if err != nil {
		h.log.Debug("kernel symbols cannot be read", "error", err)
		return nil // attaching will tell
	}
	if function == "" {
		return fmt.Errorf("%s: %w: this kernel (%s) has no system call %q; its name is that of its manual page, such as unlinkat",
			p, ErrNoTarget, kernelRelease(), p.link.Target)
	}
	return nil
}

func (k ksyscallHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	function, err := syscallFunction(p.link.Target)
	if err != nil || function == "" {
		function = syscallFunctions(p.link.Target)[0]
	}
	return k.attachTo(p, prog, function, 0)
}

// syscallPrefixes are those of the functions that take a system call's arguments
// from the caller's registers, by architecture (arch/*/include/asm/syscall_wrapper.h).
// Architectures not here have no such functions.
var syscallPrefixes = map[string]string{
	"386": "__ia32_sys_", "amd64": "__x64_sys_", "arm64": "__arm64_sys_", "riscv64": "__riscv_sys_", "s390x": "__s390x_sys_",
}

// syscallFunctions are the names a system call's function can have, best first.
func syscallFunctions(name string) []string {
	// Without such functions, __se_sys_ has the arguments in full, and sys_ is
	// another name of it.
	names := []string{"__se_sys_" + name, "sys_" + name}
	if prefix := syscallPrefixes[runtime.GOARCH]; prefix != "" {
		names = slices.Insert(names, 0, prefix+name)
	}
	return names
}

// syscallFunction is the one this kernel has, "" when it has none.
func syscallFunction(name string) (string, error) {
	names := syscallFunctions(name)
	best := len(names)
	err := kernelFunctions(func(symbol string) bool {
		if i := slices.Index(names, symbol); i >= 0 {
			best = min(best, i)
		}
		return best > 0
	})
	if best == len(names) {
		return "", err
	}
	return names[best], err
}
