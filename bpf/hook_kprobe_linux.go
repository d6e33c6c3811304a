// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// kprobeHook attaches to the entry of a kernel function, or with ret to its
// return, through a perf event.
type kprobeHook struct{ ret bool }

func (kprobeHook) programType() ebpf.ProgramType { return ebpf.Kprobe }
func (kprobeHook) capability() capability        { return unix.CAP_PERFMON }
func (kprobeHook) networked() bool               { return false }

// prepare says plainly when the kernel has no kprobes or no such function.
func (k kprobeHook) prepare(_ context.Context, h *host, p *placement) error {
	if err := k.probe(); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	found, err := haveKernelFunction(p.link.Target)
	if err != nil {
		h.log.Debug("kernel symbols cannot be read", "error", err)
		return nil // attaching will tell
	}
	if !found {
		return fmt.Errorf("%s: %w: this kernel (%s) has no function %q", p, ErrNoTarget, kernelRelease(), p.link.Target)
	}
	return nil
}

func (k kprobeHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (link.Link, error) {
	probe := link.Kprobe
	if k.ret {
		probe = link.Kretprobe
	}
	l, err := probe(p.link.Target, prog, nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w: function %q cannot be probed on this kernel (%s): it is gone, inlined or excluded: %w",
			p, ErrNoTarget, p.link.Target, kernelRelease(), err)
	case err != nil:
		return nil, attachError(p, "kprobe perf events", "4.17", err)
	}
	return l, nil
}

func (kprobeHook) probe() error {
	if !haveKprobes() {
		return unsupported("kprobes (CONFIG_KPROBES)", "")
	}
	return nil
}

// haveKprobes looks for either interface to kprobes: the perf event source
// (Linux 4.17) or the file in tracefs.
func haveKprobes() bool {
	for _, path := range []string{
		"/sys/bus/event_source/devices/kprobe/type",
		"/sys/kernel/tracing/kprobe_events",
		"/sys/kernel/debug/tracing/kprobe_events",
	} {
		if _, err := os.Stat(path); err == nil {
			return true
		}
	}
	return false
}

// haveKernelFunction looks name up in the kernel's symbol table, also as the
// architecture spells system calls ("__x64_sys_…"), which the loader tries too.
func haveKernelFunction(name string) (bool, error) {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return false, fmt.Errorf("reading the kernel's symbols: %w", err)
	}
	defer f.Close()
	isSyscall := strings.HasPrefix(name, "sys_")
	for lines := bufio.NewScanner(f); ; {
		if !lines.Scan() {
			return false, lines.Err()
		}
		// address type name [module]
		_, rest, _ := strings.Cut(lines.Text(), " ")
		kind, symbol, _ := strings.Cut(rest, " ")
		symbol, _, _ = strings.Cut(symbol, "\t")
		if !strings.EqualFold(kind, "t") && !strings.EqualFold(kind, "w") {
			continue
		}
		if symbol == name || (isSyscall && strings.HasPrefix(symbol, "__") && strings.HasSuffix(symbol, "_"+name)) {
			return true, nil
		}
	}
}
