// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
)

// xdpHook attaches to a network interface before the kernel makes a packet
// buffer: beside other programs, as a component of a dispatcher, or alone. Option
// mode: "native" (by the driver), "generic" (by the network stack), "offload" (by
// the device), or, when not given, that of the programs which are there, and else
// native where the driver can and else generic.
type xdpHook struct{}

func (xdpHook) programType() ebpf.ProgramType { return ebpf.XDP }
func (xdpHook) capability() capability        { return unix.CAP_NET_ADMIN }
func (xdpHook) networked() bool               { return true }

// prepare finds the interface, and out whether the program shares it.
func (x xdpHook) prepare(ctx context.Context, h *host, p *placement) error {
	if _, err := h.iface(p); err != nil {
		return err
	}
	if err := checkFrags(p); err != nil {
		return err
	}
	slot, err := x.look(ctx, h, p)
	if err != nil {
		return err
	}
	if p.option(optionMode) == dispatcher.ModeOffload {
		if err := slot.takeAlone(nil); err != nil {
			return err
		}
		return prepareOffload(p)
	}
	via, reason, err := slot.chooseVia()
	switch {
	case err != nil:
		return err
	case via == viaDispatcher:
		return slot.takeComponent(ctx)
	}
	return slot.takeAlone(reason)
}

// checkFrags refuses a program for packets in several buffers where the kernel
// has programs for one only.
func checkFrags(p *placement) error {
	if p.spec.Flags&unix.BPF_F_XDP_HAS_FRAGS == 0 {
		return nil
	}
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, Flags: unix.BPF_F_XDP_HAS_FRAGS}, 0)
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%s: %w", p, unsupported("XDP programs for packets in several buffers (section xdp.frags)", "5.18"))
	}
	if err != nil {
		return nil // loading will tell
	}
	return prog.Close()
}

// prepareOffload has the program loaded for the device, after asking its driver
// whether that can be.
func prepareOffload(p *placement) error {
	for _, ins := range p.spec.Instructions {
		if ins.IsLoadFromMap() {
			return p.usage("mode=offload is for programs without maps: bpfimg makes none in a device")
		}
	}
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, Ifindex: p.link.Ifindex}, 0)
	if err != nil {
		return &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf(
			"the driver of %q does not offload programs to its device (mode=native may work): %w", p.link.Target, err)}
	}
	p.spec.Ifindex = p.link.Ifindex
	return prog.Close()
}

func slotTaken(h *host, p *placement, id uint32) error {
	return &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf(
		"the XDP slot of %q is taken by %s: %w", p.link.Target, h.owner(id), unix.EBUSY)}
}

func (x xdpHook) attach(ctx context.Context, h *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	if p.link.Via == viaDispatcher {
		return nil, x.join(ctx, h, p, prog)
	}
	return x.attachAlone(h, p, prog)
}

// attachAlone has the program take the slot.
func (x xdpHook) attachAlone(h *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	mode := p.option(optionMode)
	if mode == dispatcher.ModeOffload {
		l, err := x.link(p, prog, link.XDPOffloadMode)
		if err != nil {
			return nil, x.explain(h, p, err)
		}
		return l, nil
	}
	var native error
	if mode != dispatcher.ModeGeneric {
		var l link.Link
		if l, native = x.link(p, prog, link.XDPDriverMode); native == nil {
			p.choose(optionMode, dispatcher.ModeNative)
			return l, nil
		}
		if mode == dispatcher.ModeNative || !dispatcher.DriverLacksXDP(native) {
			return nil, x.explain(h, p, native)
		}
	}
	l, err := x.link(p, prog, link.XDPGenericMode)
	if err != nil {
		return nil, x.explain(h, p, err)
	}
	p.choose(optionMode, dispatcher.ModeGeneric)
	if native != nil {
		p.noticeGeneric(h.log, native)
	}
	return l, nil
}

// noticeGeneric tells the person what the driver has said.
func (p *placement) noticeGeneric(log *slog.Logger, native error) {
	p.notice(log, "the driver of %q does not take the program in native mode (%s%s): attached in generic mode, which is slower",
		p.link.Target, errnoText(native), fragsHint(p, native))
}

func (xdpHook) link(p *placement, prog *ebpf.Program, flags link.XDPAttachFlags) (link.Link, error) {
	return link.AttachXDP(link.XDPOptions{Program: prog, Interface: int(p.link.Ifindex), Flags: flags})
}

// explain puts the kernel's answer into words.
func (xdpHook) explain(h *host, p *placement, err error) error {
	switch _, lookup := netlink.LinkByIndex(int(p.link.Ifindex)); {
	case errors.As(lookup, &netlink.LinkNotFoundError{}):
		// The kernel says EINVAL for an interface that is not there.
		err = fmt.Errorf("%w: %w", unix.ENODEV, err)
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EEXIST):
		if l, lookup := h.iface(p); lookup == nil && l.Attrs().Xdp != nil && l.Attrs().Xdp.Attached {
			return slotTaken(h, p, l.Attrs().Xdp.ProgId)
		}
	case p.option(optionMode) == dispatcher.ModeNative && dispatcher.DriverLacksXDP(err):
		err = fmt.Errorf("the driver of %q does not take the program in native mode%s (mode=generic may work): %w", p.link.Target, fragsHint(p, err), err)
	}
	return attachError(p, "XDP links", "5.9", err)
}

// fragsHint says what helps where the interface's packets are too long for the
// program, "" elsewhere.
func fragsHint(p *placement, err error) string {
	if p.link.Frags || p.spec.Flags&unix.BPF_F_XDP_HAS_FRAGS != 0 || !errors.Is(err, unix.ERANGE) {
		return ""
	}
	return "; with this MTU it takes only those of section xdp.frags"
}
