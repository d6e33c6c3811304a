// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// errForeign: an attachment of ours holds a program that is not ours.
var errForeign = errors.New("somebody else has put another program there")

// linkSockmap is BPF_LINK_TYPE_SOCKMAP (linux/bpf.h), which the loader library has
// no name for.
const linkSockmap = link.Type(14)

// hasUpdate lists the links whose operations in the kernel have update_prog.
func hasUpdate(t link.Type) bool {
	switch t {
	case link.XDPType, link.TCXType, link.NetkitType, link.CgroupType, link.NetNsType, link.IterType, linkSockmap:
		return true
	}
	return false
}

// exchangeable says whether the program in the old attachment l can be exchanged
// for that of pl in one step. The error is of an attachment that holds neither.
func exchangeable(l schemas.InstanceLink, prog schemas.InstanceProgram, pl *placement) (bool, error) {
	if l.Via != viaLink {
		hook, ok := pl.hook.(swapper)
		if !ok {
			return false, nil
		}
		r, ok := hook.(remover)
		return ok && unlinkedProblem(r, l, []schemas.InstanceProgram{prog}) == "", nil
	}
	held, err := link.LoadPinnedLink(l.Pin, nil)
	if err != nil {
		return false, nil // its pin is gone: there is nothing to keep
	}
	defer held.Close()
	info, err := held.Info()
	if err != nil || !hasUpdate(info.Type) || dead(info) {
		return false, nil
	}
	if uint32(info.Program) != prog.ID {
		return false, fmt.Errorf("updating %s: %w (id %d)", pl, errForeign, info.Program)
	}
	// The kernel compares the types of the programs, and for cgroups not the events
	// (cgroup_bpf_replace).
	c := info.Cgroup()
	return c == nil || ebpf.AttachType(c.AttachType) == pl.spec.AttachType, nil
}

// exchange puts program to where l holds from. The kernel does it in one step; it
// has nothing to do when to is there already. The error is fs.ErrNotExist when l
// is gone, [errForeign] when it holds neither, and ENOLINK when it holds on to
// nothing any more.
func (m *Manager) exchange(ctx context.Context, l schemas.InstanceLink, from, to *ebpf.Program) error {
	if l.Via == viaLink {
		return exchangeLink(l, from, to)
	}
	hook, ok := implementations()[l.Hook].(swapper)
	if !ok {
		return fmt.Errorf("hook %s cannot exchange a program", l.Hook)
	}
	path, err := findNetns(l)
	if err != nil {
		return err
	}
	return inNetns(path, func() error { return hook.swap(ctx, m, l, from, to) })
}

func exchangeLink(l schemas.InstanceLink, from, to *ebpf.Program) error {
	held, err := link.LoadPinnedLink(l.Pin, nil)
	if err != nil {
		return err
	}
	defer held.Close()
	info, err := held.Info()
	if err != nil {
		return err
	}
	isFrom, isTo := holds(info, from), holds(info, to)
	switch {
	case isTo:
		return nil
	case dead(info):
		return unix.ENOLINK
	case !isFrom:
		return fmt.Errorf("%w (id %d)", errForeign, info.Program)
	}
	raw, ok := held.(interface {
		UpdateArgs(opts link.RawLinkUpdateOptions) error
	})
	if !ok {
		return fmt.Errorf("links of type %v cannot exchange a program", info.Type)
	}
	// With the old program the kernel compares before it exchanges.
	return raw.UpdateArgs(link.RawLinkUpdateOptions{New: to, Old: from, Flags: unix.BPF_F_REPLACE})
}

// holds says whether the link runs prog.
func holds(info *link.Info, prog *ebpf.Program) bool {
	p, err := prog.Info()
	if err != nil {
		return false
	}
	id, ok := p.ID()
	return ok && id == info.Program
}

// swapError puts the kernel's answer to an exchange into words.
func swapError(pl *placement, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		// What BPF_F_REPLACE says when the program is not the one it expects.
		err = fmt.Errorf("%w, or permission is refused: %w", errForeign, err)
	case errors.Is(err, unix.ENOLINK), errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("updating %s: %w: %q is gone, or somebody detached the program: %w", pl, ErrNoTarget, pl.link.Target, err)
	}
	return &KernelError{Op: "updating " + pl.String(), Err: err}
}
