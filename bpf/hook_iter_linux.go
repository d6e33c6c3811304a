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
	"runtime"
	"unsafe"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// iterHook makes a program an iterator: a file in bpffs, the pin of its link, that
// runs the program over every object of one kind each time it is read, and reads
// as what the program writes. The target is the kind: task, tcp, bpf_map_elem, …
type iterHook struct{}

// Options of hook iter, besides optionPID.
const (
	optionMap    = "map"
	optionTID    = "tid"
	optionCgroup = "cgroup"
	optionOrder  = "order"
)

func (iterHook) programType() ebpf.ProgramType { return ebpf.Tracing }
func (iterHook) capability() capability        { return unix.CAP_PERFMON }
func (iterHook) networked() bool               { return false }
func (iterHook) target() (what, example string) {
	return "what to iterate over", "task"
}

// probe loads an iterator over tasks, the first there was.
func (iterHook) probe() error {
	if _, err := os.Stat(kernelTypes); errors.Is(err, fs.ErrNotExist) {
		return unsupported("its types (CONFIG_DEBUG_INFO_BTF)", "")
	}
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceIter, AttachTo: "task"}, 0)
	if err != nil {
		return err
	}
	return prog.Close()
}

// prepare looks the kind up, checks that the options fit it, and has the program
// loaded for it.
func (iterHook) prepare(_ context.Context, h *host, p *placement) error {
	if err := needKernelTypes(p); err != nil {
		return err
	}
	if err := findIterator(p); err != nil {
		return err
	}
	if err := checkIterOptions(h, p); err != nil {
		return err
	}
	p.link.Map = p.option(optionMap)
	p.fixTarget(ebpf.AttachTraceIter)
	return nil
}

// attach makes the link.
func (iterHook) attach(_ context.Context, h *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	target, done, err := iterTargetOf(h, p)
	if err != nil {
		return nil, err
	}
	l, err := linkIter(prog, target)
	if err = joined.Errors(err, done()); err == nil {
		return l, nil
	}
	if l != nil {
		err = joined.Errors(err, l.Close())
	}
	if errors.Is(err, unix.EINVAL) && p.link.Map != "" {
		err = fmt.Errorf("the kernel does not iterate over a map of that type with %s, or the program reads more than its keys and values: %w", p.link.Target, err)
	}
	return nil, attachError(p, "iterators", "5.8", err)
}

// iterTarget is union bpf_iter_link_info of linux/bpf.h: the descriptor of a map;
// an order and the descriptor of a cgroup; or a tid and a pid. The kernel accepts
// zeros at the end that it does not know, so one size does for all versions.
type iterTarget struct{ first, second, third, fourth uint32 }

// iterTargetOf is what the options of p choose; nil is everything. done closes
// what it refers to.
func iterTargetOf(h *host, p *placement) (target *iterTarget, done func() error, err error) {
	done = func() error { return nil }
	switch {
	case p.link.Map != "":
		m := h.objs.mapNamed(p.link.Map)
		if m == nil {
			return nil, done, p.usage("map %q was not created", p.link.Map)
		}
		return &iterTarget{first: uint32(m.m.FD())}, done, nil
	case p.link.Target == "cgroup":
		target = &iterTarget{first: iterOrder(p.option(optionOrder))}
		dir, err := openIterCgroup(p)
		if err != nil || dir < 0 {
			return target, done, err
		}
		target.second = uint32(dir)
		return target, func() error { return unix.Close(dir) }, nil
	case p.option(optionPID) != "" || p.option(optionTID) != "":
		return &iterTarget{first: taskNumber(p, optionTID), second: taskNumber(p, optionPID)}, done, nil
	}
	return nil, done, nil
}

// linkIter creates the link itself: the loader's library knows only maps as targets.
func linkIter(prog *ebpf.Program, target *iterTarget) (link.Link, error) {
	// The part of union bpf_attr for iterators.
	attr := struct {
		prog, target, attachType, flags uint32
		info                            uint64
		infoLen, _                      uint32
	}{prog: uint32(prog.FD()), attachType: uint32(ebpf.AttachTraceIter)}
	var pinner runtime.Pinner
	defer pinner.Unpin()
	if target != nil {
		pinner.Pin(target)
		attr.info = uint64(uintptr(unsafe.Pointer(target)))
		attr.infoLen = uint32(unsafe.Sizeof(*target))
	}
	return createLink(prog, &attr)
}
