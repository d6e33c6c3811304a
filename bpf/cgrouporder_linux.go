// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/bpf/linklist"
)

// Flags of a link to a control group (BPF_F_LINK_ATTACH_MASK,
// kernel/bpf/cgroup.c): all since Linux 6.17 (commit 1209339844601).
const (
	cgroupOrderFeature = "order among the programs of a cgroup"
	cgroupOrderSince   = "6.17"
	// flagMprogLink is BPF_F_LINK (linux/bpf.h): the anchor is a link.
	flagMprogLink = 1 << 13
	// flagPreorder is BPF_F_PREORDER.
	flagPreorder = 1 << 6
)

// cgroupLinkCreate is the part of union bpf_attr that makes a link to a control
// group.
type cgroupLinkCreate struct {
	prog, target, attachType, flags uint32
	relative, _                     uint32
	revision                        uint64
}

// cgroupOrdered says whether the placement asks for anything about order.
func cgroupOrdered(p *placement) (bool, error) {
	w, err := wishOf(p)
	return w.option != "" || preorder(p.link.Options), err
}

// prepareCgroupOrder refuses order where the kernel cannot do it, and looks for the
// program's spot.
func prepareCgroupOrder(ctx context.Context, h *host, p *placement) (err error) {
	ordered, err := cgroupOrdered(p)
	if err != nil || !ordered {
		return err
	}
	if !haveCgroupOrder() {
		return fmt.Errorf("%s: %w", p, unsupported(cgroupOrderFeature, cgroupOrderSince))
	}
	l, closed, err := cgroupLineup(p, nil)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, closed.Close()) }()
	if p.replaces != 0 {
		return nil
	}
	s, _, err := h.locate(ctx, p, l)
	if err == nil && s.beside != nil && s.beside.ours != nil && preorder(s.beside.ours.link.Options) != preorder(p.link.Options) {
		return p.usage("%s", otherPreorder(s))
	}
	return err
}

// preorder says whether the program runs before those of the cgroups below.
func preorder(options map[string]string) bool { return options[inspect.OptionPreorder] == "true" }

func otherPreorder(s spot) string {
	return fmt.Sprintf("programs with preorder=true and those without are ordered each among themselves, "+
		"and program id %d is not of the same kind", s.beside.program)
}

// haveCgroupOrder asks for a link before all others to nothing: a kernel that
// knows the flag finds the control group missing, another the flag wrong.
func haveCgroupOrder() bool {
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetIngress}, 1)
	if err != nil {
		return false
	}
	defer prog.Close()
	_, err = createLink(prog, &cgroupLinkCreate{
		prog: uint32(prog.FD()), target: ^uint32(0), attachType: uint32(ebpf.AttachCGroupInetIngress), flags: unix.BPF_F_BEFORE,
	})
	return errors.Is(err, unix.EBADF)
}

// attachCgroupInOrder is attachCgroup for a placement that asks for order.
func attachCgroupInOrder(ctx context.Context, h *host, p *placement, prog *ebpf.Program) (held io.Closer, err error) {
	l, closed, err := cgroupLineup(p, prog)
	if err != nil {
		return nil, fmt.Errorf("attaching %w", err)
	}
	defer func() { err = joined.Errors(err, closed.Close()) }()
	// Not returned as it is: a nil link would be no nil io.Closer.
	made, err := h.attachInOrder(ctx, p, l)
	if err != nil {
		return nil, err
	}
	return made, nil
}

// cgroupLineup is the list of programs of the control group itself, for one event,
// with what to close when it is not needed any more. In it the kernel takes links
// as anchors of links only (get_prog_list).
func cgroupLineup(p *placement, prog *ebpf.Program) (lineup, io.Closer, error) {
	dir, err := os.Open(p.link.Target)
	if err != nil {
		return lineup{}, nil, fmt.Errorf("%s: %w: opening the cgroup: %w", p, ErrNoTarget, err)
	}
	at := p.spec.AttachType
	return lineup{
		what:  fmt.Sprintf("%s of cgroup %q", at, p.link.Target),
		query: link.QueryOptions{Target: int(dir.Fd()), Attach: at},
		links: func(ctx context.Context, program uint32) (uint32, error) { return cgroupLinkOf(ctx, dir, at, program) },
		attach: func(s spot, revision uint64) (link.Link, error) {
			l, err := createLink(prog, cgroupCreate(p, prog, dir, s, revision))
			switch {
			case err == nil, errors.Is(err, unix.ESTALE):
				return l, err
			case errors.Is(err, unix.EINVAL) && s.beside != nil:
				err = fmt.Errorf("%s: %w", otherPreorder(s), err)
			}
			return nil, cgroupError(p, err)
		},
	}, dir, nil
}

// cgroupCreate is the request for the link at a spot.
func cgroupCreate(p *placement, prog *ebpf.Program, dir *os.File, s spot, revision uint64) *cgroupLinkCreate {
	attr := &cgroupLinkCreate{
		prog: uint32(prog.FD()), target: uint32(dir.Fd()), attachType: uint32(p.spec.AttachType),
		flags: unix.BPF_F_AFTER, revision: revision,
	}
	if s.before {
		attr.flags = unix.BPF_F_BEFORE
	}
	if s.beside != nil {
		attr.flags |= unix.BPF_F_ID | flagMprogLink
		attr.relative = s.beside.link
	}
	if preorder(p.link.Options) {
		attr.flags |= flagPreorder
	}
	return attr
}

// cgroupLinkOf looks for the link that holds a program at a control group, 0 when
// it is attached without one. The kernel's list of programs does not tell.
func cgroupLinkOf(ctx context.Context, dir *os.File, at ebpf.AttachType, program uint32) (uint32, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return 0, err
	}
	var id link.ID
	err := linklist.Walk(ctx, func(info *link.Info) bool {
		c := info.Cgroup()
		if c != nil && uint32(info.Program) == program && c.CgroupId == st.Ino && ebpf.AttachType(c.AttachType) == at {
			id = info.ID
		}
		return id != 0
	})
	return uint32(id), err
}
