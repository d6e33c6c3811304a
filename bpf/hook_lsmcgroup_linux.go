// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// lsmCgroupHook attaches to a decision of the kernel's security modules, for the
// processes (or, where the decision is about a socket, the sockets) of a control
// group. Option lsm: the LSM hook, required unless the section says it.
type lsmCgroupHook struct{}

func (lsmCgroupHook) programType() ebpf.ProgramType { return ebpf.LSM }
func (lsmCgroupHook) capability() capability        { return unix.CAP_PERFMON }
func (lsmCgroupHook) networked() bool               { return false }
func (lsmCgroupHook) target() (what, example string) {
	return cgroupHook{}.target()
}

// prepare has the program loaded for its LSM hook, which the kernel takes with
// the program and not with the attachment.
func (lsmCgroupHook) prepare(_ context.Context, h *host, p *placement) error {
	hook := p.option(inspect.OptionLSM)
	if hook == "" {
		return p.usage("needs an LSM hook: --attach %s,lsm=socket_bind", p)
	}
	if err := checkCgroup(p); err != nil {
		return err
	}
	if err := checkLSM(h, p, hook); err != nil {
		return err
	}
	p.spec.AttachType, p.spec.AttachTo = ebpf.AttachLSMCgroup, hook
	return nil
}

// probe loads a program for a hook every kernel with the BPF security module has.
// Before Linux 6.0 the attach type is unknown.
func (lsmCgroupHook) probe() error {
	if _, err := os.Stat(kernelTypes); errors.Is(err, fs.ErrNotExist) {
		return unsupported("its types (CONFIG_DEBUG_INFO_BTF)", "")
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.LSM, AttachType: ebpf.AttachLSMCgroup, AttachTo: "socket_bind", License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 1), asm.Return()},
	})
	switch {
	case errors.Is(err, btf.ErrNotFound):
		return unsupported("the BPF security module (CONFIG_BPF_LSM)", "")
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.E2BIG):
		return unsupported("LSM programs of cgroups", "6.0")
	case err != nil:
		return err
	}
	return prog.Close()
}

func (lsmCgroupHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	return attachCgroup(p, prog)
}
