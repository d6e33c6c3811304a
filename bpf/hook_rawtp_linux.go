// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// rawTracepointHook attaches to a tracepoint before its event is written: the
// program sees the kernel's own arguments. The target is the tracepoint's name
// without a group.
type rawTracepointHook struct{}

func (rawTracepointHook) programType() ebpf.ProgramType { return ebpf.RawTracepoint }
func (rawTracepointHook) capability() capability        { return unix.CAP_PERFMON }
func (rawTracepointHook) networked() bool               { return false }

func (rawTracepointHook) prepare(_ context.Context, h *host, p *placement) error {
	return findTracepoint(h, p)
}

func (rawTracepointHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: p.link.Target, Program: prog})
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, noTracepoint(p, err)
	case errors.Is(err, unix.EINVAL):
		// What the kernel says when a program reads behind the last argument, or
		// writes where the tracepoint lets nobody write.
		err = fmt.Errorf("the program reads or writes arguments that tracepoint %q does not have: %w", p.link.Target, err)
		return nil, &KernelError{Op: "attaching " + p.String(), Err: err}
	case err != nil:
		return nil, attachError(p, "raw tracepoint programs", "4.17", err)
	}
	return l, nil
}

// findTracepoint refuses a tracepoint this kernel and its loaded modules do not
// have. Each has a function of its own that calls what is attached, since Linux
// 5.10; on older kernels, and where symbols are hidden, attaching tells.
func findTracepoint(h *host, p *placement) error {
	if !isEventName(p.link.Target) {
		return p.usage("the target is the name of a tracepoint without its group, such as sched_process_exec")
	}
	if !kernelAtLeast(5, 10) {
		return nil
	}
	found, err := haveSymbol("__traceiter_" + p.link.Target)
	if err != nil {
		h.log.Debug("kernel symbols cannot be read", "error", err)
		return nil
	}
	if !found {
		return noTracepoint(p, nil)
	}
	return nil
}

func noTracepoint(p *placement, cause error) error {
	err := fmt.Errorf("%s: %w: this kernel (%s) has no tracepoint %q, or the module that has it is not loaded",
		p, ErrNoTarget, kernelRelease(), p.link.Target)
	if cause != nil {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	return err
}
