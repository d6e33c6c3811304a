// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// prober is a hook of which the program type alone does not tell whether the
// kernel can do it.
type prober interface {
	// probe is nil, or an [UnsupportedError] that says what is missing.
	probe() error
}

// Support says of every hook whether this kernel can do it, in the order of
// [inspect.Hooks]. It loads small programs to find out, and needs what loading
// needs; without that, it returns a [PermissionError].
func Support() ([]HookSupport, error) {
	if err := needBPF("asking the kernel what it supports"); err != nil {
		return nil, err
	}
	var list []HookSupport
	known := implementations()
	for _, info := range inspect.Hooks() {
		s := HookSupport{Hook: info.Name}
		if h := known[info.Name]; h != nil {
			s.Known = true
			s.Err = probeHook(h)
		}
		list = append(list, s)
	}
	return list, nil
}

func probeHook(h hook) error {
	var err error
	if p, ok := h.(prober); ok {
		err = p.probe()
	} else {
		err = features.HaveProgramType(h.programType())
	}
	switch {
	case errors.Is(err, ebpf.ErrNotSupported):
		return unsupported(fmt.Sprintf("programs of type %s", h.programType()), "")
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("this kernel (%s) refuses such programs although the capability is held", kernelRelease())
	}
	return err
}

func (uprobeHook) probe() error {
	if !haveProbes("uprobe") {
		return unsupported("uprobes (CONFIG_UPROBES)", "")
	}
	return features.HaveProgramType(ebpf.Kprobe)
}

// probe loads a program for a function the kernel has for such tests
// (net/bpf/test_run.c), or a tracepoint every kernel has, because some kernels
// take one kind of tracing program and refuse another.
func (t tracingHook) probe() error {
	if _, err := os.Stat(kernelTypes); errors.Is(err, fs.ErrNotExist) {
		return unsupported("its types (CONFIG_DEBUG_INFO_BTF)", "")
	}
	target := "bpf_fentry_test1"
	switch t.at {
	case ebpf.AttachTraceRawTp:
		target = "sched_process_exec"
	case ebpf.AttachModifyReturn:
		target = "bpf_modify_return_test"
	}
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: t.at, AttachTo: target, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if errors.Is(err, btf.ErrNotFound) {
		return nil // built without the test function: only loading a real one tells
	}
	if err != nil {
		return err
	}
	return prog.Close()
}
