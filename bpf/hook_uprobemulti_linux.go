// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"unsafe"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/probes"
)

// uprobeMultiHook attaches to all functions of a program or library whose name
// matches a pattern, with ret to their returns, and with session to both. One
// link holds them all. The target is BINARY:PATTERN, the options are those of
// [uprobeHook].
type uprobeMultiHook struct{ ret, session bool }

// attachUprobeSession is BPF_TRACE_UPROBE_SESSION of linux/bpf.h, which the
// loader knows in sections only.
const attachUprobeSession ebpf.AttachType = 57

const uprobeMultiForm = "BINARY:PATTERN"

func (uprobeMultiHook) programType() ebpf.ProgramType { return ebpf.Kprobe }
func (uprobeMultiHook) capability() capability        { return unix.CAP_PERFMON }
func (uprobeMultiHook) networked() bool               { return false }

func (uprobeMultiHook) target() (what, example string) {
	return "functions of a program", "BINARY:PATTERN"
}

// prepare looks up which functions match, and has the program loaded for more
// than one.
func (u uprobeMultiHook) prepare(_ context.Context, h *host, p *placement) error {
	p.spec.AttachType = ebpf.AttachTraceUprobeMulti
	if u.session {
		p.spec.AttachType = attachUprobeSession
	}
	return inTarget(p, uprobeMultiForm, func(b *userBinary, pattern string, _ int) error {
		found, err := b.matching(p, pattern)
		if err == nil && probes.IsPattern(pattern) {
			p.notice(h.log, "%q matches %d function(s) of %q", pattern, len(found), b.name)
		}
		return err
	})
}

// matching are the offsets of the functions that match; there is at least one.
func (b *userBinary) matching(p *placement, pattern string) ([]uint64, error) {
	if !probes.IsPattern(pattern) {
		offset, err := b.offset(p, pattern)
		return []uint64{offset}, err
	}
	list, err := b.Functions(pattern, maxFunctions)
	switch {
	case errors.Is(err, probes.ErrTooLarge):
		return nil, p.usage("%q: %v: a narrower pattern is needed", b.name, err)
	case err != nil:
		return nil, fmt.Errorf("%s: looking up the functions of %q: %w", p, b.name, err)
	case len(list) == 0:
		return nil, fmt.Errorf("%s: %w: no function in the symbol tables of %q matches %q", p, ErrNoTarget, b.name, pattern)
	}
	offsets := make([]uint64, len(list))
	for i, fn := range list {
		offsets[i] = fn.Offset
	}
	return offsets, nil
}

func (u uprobeMultiHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (held io.Closer, err error) {
	err = inTarget(p, uprobeMultiForm, func(b *userBinary, pattern string, pid int) error {
		offsets, err := b.matching(p, pattern)
		if err != nil {
			return err
		}
		l, err := u.link(b.path, prog, &link.UprobeMultiOptions{Addresses: offsets, PID: uint32(pid)})
		if err != nil {
			return uprobeError(p, err)
		}
		held = l
		return nil
	})
	return held, err
}

// link puts one probe at all the places of opts.
func (u uprobeMultiHook) link(path string, prog *ebpf.Program, opts *link.UprobeMultiOptions) (link.Link, error) {
	if u.session {
		return uprobeSession(path, prog, opts)
	}
	executable, err := link.OpenExecutable(path)
	if err != nil {
		return nil, err
	}
	if u.ret {
		return executable.UretprobeMulti(nil, prog, opts)
	}
	return executable.UprobeMulti(nil, prog, opts)
}

// uprobeSession creates the link the loader does not know, with the attach type of
// sessions.
func uprobeSession(path string, prog *ebpf.Program, opts *link.UprobeMultiOptions) (link.Link, error) {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return nil, err
	}
	// union bpf_attr, link_create.uprobe_multi
	attr := struct {
		prog, target, attachType, flags  uint32
		path, offsets, counters, cookies unsafe.Pointer
		count, multiFlags, pid, _        uint32
	}{
		prog: uint32(prog.FD()), attachType: uint32(attachUprobeSession),
		path: unsafe.Pointer(name), offsets: unsafe.Pointer(unsafe.SliceData(opts.Addresses)),
		count: uint32(len(opts.Addresses)), pid: opts.PID,
	}
	return createLink(prog, &attr)
}

// probe asks for a link on a folder: a kernel that has such links finds that it
// is no file (EBADF), one that has not the request wrong.
func (u uprobeMultiHook) probe() error {
	if err := (uprobeHook{}).probe(); err != nil || !u.session {
		return joined.Errors(err, features.HaveBPFLinkUprobeMulti())
	}
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: ebpf.Kprobe, AttachType: attachUprobeSession}, 0)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.E2BIG) {
		return ebpf.ErrNotSupported
	}
	if err != nil {
		return err
	}
	defer prog.Close()
	l, err := uprobeSession("/", prog, &link.UprobeMultiOptions{Addresses: []uint64{1}})
	switch {
	case err == nil:
		return l.Close() // not to be expected, and no reason to refuse
	case errors.Is(err, unix.EBADF):
		return nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP):
		return ebpf.ErrNotSupported
	}
	return err
}
