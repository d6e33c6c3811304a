// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// uprobeHook attaches to a place in a program or library, or with ret to the
// return from there, through a perf event. The target is BINARY:SYMBOL,
// BINARY:SYMBOL+OFFSET or BINARY:0xOFFSET, the last counted from the start of
// the file. Option pid: one process only.
type uprobeHook struct{ ret bool }

func (uprobeHook) programType() ebpf.ProgramType { return ebpf.Kprobe }
func (uprobeHook) capability() capability        { return unix.CAP_PERFMON }
func (uprobeHook) networked() bool               { return false }
func (uprobeHook) heldByPerf()                   {}

// uprobePlace is a uprobe's target and options, parsed.
type uprobePlace struct {
	binary string
	// symbol is "" when offset counts from the start of the file.
	symbol string
	offset uint64
	// pid is 0 for all processes.
	pid int
}

// prepare checks that there is such a file, and such a process.
func (uprobeHook) prepare(_ context.Context, _ *host, p *placement) error {
	place, err := parseUprobe(p)
	if err != nil {
		return err
	}
	if !haveProbes("uprobe") {
		return fmt.Errorf("%s: %w", p, unsupported("uprobes (CONFIG_UPROBES)", ""))
	}
	isELF, err := isELFFile(place.binary)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w: there is no file %q", p, ErrNoTarget, place.binary)
	case err != nil:
		return fmt.Errorf("%s: looking up the binary: %w", p, err)
	case !isELF:
		return p.usage("%q is not a program or library", place.binary)
	}
	if place.pid != 0 && errors.Is(unix.Kill(place.pid, 0), unix.ESRCH) {
		return fmt.Errorf("%s: %w: there is no process %d", p, ErrNoTarget, place.pid)
	}
	return nil
}

func (u uprobeHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	place, err := parseUprobe(p)
	if err != nil {
		return nil, err
	}
	binary, err := link.OpenExecutable(place.binary)
	if err != nil {
		return nil, fmt.Errorf("attaching %s: %w", p, err)
	}
	opts := &link.UprobeOptions{PID: place.pid}
	if place.symbol == "" {
		opts.Address = place.offset
	} else {
		opts.Offset = place.offset
	}
	probe := binary.Uprobe
	if u.ret {
		probe = binary.Uretprobe
	}
	l, err := probe(place.symbol, prog, opts)
	if err != nil {
		return nil, place.explain(p, err)
	}
	return l, nil
}

// isELFFile says whether path is a regular file that starts like a program or
// library; the kernel would put a probe into any file.
func isELFFile(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false, err // not opened: a pipe would block
	}
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var magic [len(elf.ELFMAG)]byte
	_, err = io.ReadFull(f, magic[:])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return false, nil
	}
	return string(magic[:]) == elf.ELFMAG, err
}

// parseUprobe reads the placement's target and options.
func parseUprobe(p *placement) (place uprobePlace, err error) {
	// A path with a colon cannot be told from its symbol, as in libbpf.
	binary, where, ok := strings.Cut(p.link.Target, ":")
	if !ok || where == "" || !filepath.IsAbs(binary) {
		return place, p.usage("the target is BINARY:SYMBOL, BINARY:SYMBOL+OFFSET or BINARY:0xOFFSET, and BINARY an absolute path")
	}
	place.binary = binary
	if strings.HasPrefix(where, "0x") {
		place.offset, err = strconv.ParseUint(where, 0, 63)
		if err != nil || place.offset == 0 {
			return place, p.usage("%q is not an offset into a file, such as 0x1139", where)
		}
	} else {
		var offset string
		if place.symbol, offset, ok = strings.Cut(where, "+"); ok {
			if place.offset, err = strconv.ParseUint(offset, 0, 63); err != nil || place.symbol == "" {
				return place, p.usage("%q is not a symbol and an offset, such as main+0x10", where)
			}
		}
	}
	if pid := p.option("pid"); pid != "" {
		if place.pid, err = strconv.Atoi(pid); err != nil || place.pid <= 0 {
			return place, p.usage("option pid is %q; it is the number of a process", pid)
		}
	}
	return place, nil
}

// explain puts the loader's or the kernel's answer into words.
func (u uprobePlace) explain(p *placement, err error) error {
	switch {
	case errors.Is(err, link.ErrNoSymbol):
		return fmt.Errorf("attaching %s: %w: %q has no function %q in its symbol tables; if it is stripped, give an offset: %s:0xOFFSET",
			p, ErrNoTarget, u.binary, u.symbol, u.binary)
	case errors.Is(err, ebpf.ErrNotSupported) && u.symbol != "":
		// The kernel has uprobes, or prepare had said so: this is the loader's
		// answer to a function another file has.
		return fmt.Errorf("attaching %s: %w: %q only imports function %q: attach to the library that has it", p, ErrNoTarget, u.binary, u.symbol)
	case errors.Is(err, unix.ESRCH):
		return fmt.Errorf("attaching %s: %w: process %d has ended: %w", p, ErrNoTarget, u.pid, unix.ESRCH)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EIO), errors.Is(err, unix.ENOEXEC):
		return &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf(
			"the kernel takes no probe there (an offset outside the file or not at an instruction, or a file system without support): %w", err)}
	}
	if errno := unix.Errno(0); !errors.As(err, &errno) {
		// The loader's own answer: a file it cannot read, an offset outside the
		// function.
		return fmt.Errorf("attaching %s: %w: %w", p, ErrNoTarget, err)
	}
	return attachError(p, "uprobe perf events", "4.17", err)
}
