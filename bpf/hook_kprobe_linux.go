// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// kprobeHook attaches to the entry of a kernel function, or with ret to its
// return, through a perf event.
type kprobeHook struct{ ret bool }

func (kprobeHook) programType() ebpf.ProgramType { return ebpf.Kprobe }
func (kprobeHook) capability() capability        { return unix.CAP_PERFMON }
func (kprobeHook) networked() bool               { return false }
func (kprobeHook) heldByPerf()                   {}

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

func (k kprobeHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
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
	if !haveProbes("kprobe") {
		return unsupported("kprobes (CONFIG_KPROBES)", "")
	}
	return features.HaveProgramType(ebpf.Kprobe)
}

// haveProbes looks for either interface to kprobes or uprobes, whose name is kind:
// the perf event source (Linux 4.17) or the file in tracefs.
func haveProbes(kind string) bool {
	for _, path := range []string{
		"/sys/bus/event_source/devices/" + kind + "/type",
		"/sys/kernel/tracing/" + kind + "_events",
		"/sys/kernel/debug/tracing/" + kind + "_events",
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
	isSyscall := strings.HasPrefix(name, "sys_")
	found := false
	err := kernelFunctions(func(symbol string) bool {
		found = symbol == name || (isSyscall && strings.HasPrefix(symbol, "__") && strings.HasSuffix(symbol, "_"+name))
		return !found
	})
	return found, err
}

// haveSymbol looks up a function by exactly its name.
func haveSymbol(name string) (bool, error) {
	found := false
	err := kernelFunctions(func(symbol string) bool {
		found = symbol == name
		return !found
	})
	return found, err
}

// kernelFunctions calls yield for each function of the kernel and its modules,
// until it returns false.
func kernelFunctions(yield func(symbol string) bool) error {
	f, err := os.Open("/proc/kallsyms")
	if err != nil {
		return fmt.Errorf("reading the kernel's symbols: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// address type name [module]
		_, rest, _ := strings.Cut(lines.Text(), " ")
		kind, symbol, _ := strings.Cut(rest, " ")
		symbol, _, _ = strings.Cut(symbol, "\t")
		isFunction := strings.EqualFold(kind, "t") || strings.EqualFold(kind, "w")
		if isFunction && !yield(symbol) {
			return nil
		}
	}
	return lines.Err()
}
