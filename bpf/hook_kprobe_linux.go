// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// kprobeHook attaches to a kernel function, FUNCTION or FUNCTION+OFFSET in bytes,
// or with ret to its return, through a perf event.
type kprobeHook struct{ ret bool }

func (kprobeHook) programType() ebpf.ProgramType { return ebpf.Kprobe }
func (kprobeHook) capability() capability        { return unix.CAP_PERFMON }
func (kprobeHook) networked() bool               { return false }
func (kprobeHook) heldByPerf()                   {}

// prepare says plainly when the kernel has no such function.
func (k kprobeHook) prepare(_ context.Context, h *host, p *placement) error {
	function, offset, err := parseKprobe(p)
	if err != nil {
		return err
	}
	if k.ret && offset != 0 {
		return p.usage("a function returns to its caller, wherever it was: give it without an offset")
	}
	p.spec.AttachType = ebpf.AttachNone // of a section for kprobe.multi
	found, err := haveKernelFunction(function)
	if err != nil {
		h.log.Debug("kernel symbols cannot be read", "error", err)
		return nil // attaching will tell
	}
	if !found {
		return noFunction(p, function)
	}
	return nil
}

func (k kprobeHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	function, offset, err := parseKprobe(p)
	if err != nil {
		return nil, err
	}
	return k.attachTo(p, prog, function, offset)
}

// attachTo puts the probe at a function of a name that the kernel knows.
func (k kprobeHook) attachTo(p *placement, prog *ebpf.Program, function string, offset uint64) (io.Closer, error) {
	probe := link.Kprobe
	if k.ret {
		probe = link.Kretprobe
	}
	l, err := probe(function, prog, &link.KprobeOptions{Offset: offset})
	switch {
	case errors.Is(err, fs.ErrNotExist) && offset != 0:
		return nil, fmt.Errorf("%s: %w: there is no instruction %d bytes into function %q of this kernel (%s): %w",
			p, ErrNoTarget, offset, function, kernelRelease(), err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w: function %q cannot be probed on this kernel (%s): it is gone, inlined or excluded: %w",
			p, ErrNoTarget, function, kernelRelease(), err)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s: %w: this kernel (%s) has several functions %q, and which one to probe is not certain: %w",
			p, ErrNoTarget, kernelRelease(), function, err)
	case err != nil:
		return nil, attachError(p, "kprobe perf events", "4.17", err)
	}
	return l, nil
}

// parseKprobe reads the placement's target.
func parseKprobe(p *placement) (function string, offset uint64, err error) {
	function, text, ok := strings.Cut(p.link.Target, "+")
	if ok {
		if offset, err = strconv.ParseUint(text, 0, 31); err != nil {
			return "", 0, p.usage("%q is not a function and an offset, such as vfs_unlink+0x4", p.link.Target)
		}
	}
	if function == "" || strings.ContainsAny(function, "*? /:") {
		return "", 0, p.usage("%q is no name of a kernel function; for a pattern, use hook kprobe.multi", function)
	}
	return function, offset, nil
}

// noFunction is the error for a function the kernel does not have.
func noFunction(p *placement, function string) error {
	return fmt.Errorf("%s: %w: this kernel (%s) has no function %q", p, ErrNoTarget, kernelRelease(), function)
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
