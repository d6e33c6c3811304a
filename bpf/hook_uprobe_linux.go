// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/probes"
)

// uprobeHook attaches to a place in a program or library, or with ret to the
// return from there, through a perf event. The target is BINARY:SYMBOL,
// BINARY:SYMBOL+OFFSET or BINARY:0xOFFSET, the last counted from the start of
// the file. Option pid: one process only; option mntns: whose file BINARY is.
type uprobeHook struct{ ret bool }

// uprobeForm is how targets are written.
const uprobeForm = "BINARY:SYMBOL, BINARY:SYMBOL+OFFSET or BINARY:0xOFFSET"

func (uprobeHook) programType() ebpf.ProgramType { return ebpf.Kprobe }
func (uprobeHook) capability() capability        { return unix.CAP_PERFMON }
func (uprobeHook) networked() bool               { return false }
func (uprobeHook) heldByPerf()                   {}

func (uprobeHook) target() (what, example string) { return "a place in a program", "BINARY:SYMBOL" }

// prepare checks that there is such a place, and such a process.
func (uprobeHook) prepare(_ context.Context, _ *host, p *placement) error {
	p.spec.AttachType = ebpf.AttachNone // of a section for uprobe.multi
	return inTarget(p, uprobeForm, func(b *userBinary, where string, _ int) error {
		_, err := b.offset(p, where)
		return err
	})
}

func (u uprobeHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (held io.Closer, err error) {
	err = inTarget(p, uprobeForm, func(b *userBinary, where string, pid int) error {
		offset, err := b.offset(p, where)
		if err != nil {
			return err
		}
		executable, err := link.OpenExecutable(b.path)
		if err != nil {
			return fmt.Errorf("attaching %s: %w", p, err)
		}
		probe := executable.Uprobe
		if u.ret {
			probe = executable.Uretprobe
		}
		l, err := probe("", prog, &link.UprobeOptions{Address: offset, PID: pid})
		if err != nil {
			return uprobeError(p, err)
		}
		held = l
		return nil
	})
	return held, err
}

func (uprobeHook) probe() error {
	if !haveProbes("uprobe") {
		return unsupported("uprobes (CONFIG_UPROBES)", "")
	}
	return features.HaveProgramType(ebpf.Kprobe)
}

// offset finds the place in the file that SYMBOL, SYMBOL+OFFSET or 0xOFFSET is.
func (b *userBinary) offset(p *placement, where string) (uint64, error) {
	if strings.HasPrefix(where, "0x") {
		offset, err := strconv.ParseUint(where, 0, 63)
		if err != nil || offset == 0 {
			return 0, p.usage("%q is not an offset into a file, such as 0x1139", where)
		}
		return offset, nil
	}
	// What is behind the last plus sign, since names of C++ and Go have them, too.
	symbol, offset := where, uint64(0)
	if i := strings.LastIndex(where, "+"); i >= 0 {
		var err error
		if offset, err = strconv.ParseUint(where[i+1:], 0, 63); err != nil || i == 0 {
			return 0, p.usage("%q is not a symbol and an offset, such as main+0x10", where)
		}
		symbol = where[:i]
	}
	fn, err := b.Function(symbol)
	switch {
	case errors.Is(err, probes.ErrNoFunction):
		return 0, fmt.Errorf("%s: %w: %q has no function %q in its symbol tables; if it is stripped, give an offset: %s:0xOFFSET",
			p, ErrNoTarget, b.name, symbol, b.name)
	case errors.Is(err, probes.ErrImported):
		return 0, fmt.Errorf("%s: %w: %q only imports function %q: attach to the library that has it", p, ErrNoTarget, b.name, symbol)
	case errors.Is(err, probes.ErrAmbiguous):
		return 0, fmt.Errorf("%s: %w: which function %q of %q is meant is not certain: %w; give an offset: %s:0xOFFSET",
			p, ErrNoTarget, symbol, b.name, err, b.name)
	case err != nil:
		return 0, fmt.Errorf("%s: looking up function %q of %q: %w", p, symbol, b.name, err)
	case offset > 0 && offset >= fn.Size:
		return 0, fmt.Errorf("%s: %w: offset %#x is out of range of function %q, which is %d bytes long", p, ErrNoTarget, offset, symbol, fn.Size)
	}
	return fn.Offset + offset, nil
}

// uprobeError puts the kernel's answer to a probe of a program into words.
func uprobeError(p *placement, err error) error {
	switch {
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("attaching %s: %w: process %s has ended: %w", p, ErrNoTarget, p.option("pid"), unix.ESRCH)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EIO), errors.Is(err, unix.ENOEXEC):
		return &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf(
			"the kernel takes no probe there (an offset outside the file or not at an instruction, or a file system without support): %w", err)}
	}
	return attachError(p, "uprobe perf events", "4.17", err)
}
