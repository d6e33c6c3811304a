// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// An XDP program that shares its interface is of type EXT: it replaces a function
// of a dispatcher. Its links change whenever somebody adds or removes a program,
// so that the record has the program's id and no link's.

// slotReadTime bounds looking at an interface for ps.
const slotReadTime = 10 * time.Second

// dispatchers takes the lock that all users of libxdp take; the caller closes it.
func (m *Manager) dispatchers(ctx context.Context) (*dispatcher.Dispatchers, error) {
	if err := ensureBPFFS(customaryBPFFS); err != nil {
		return nil, err
	}
	return dispatcher.Open(ctx, dispatcher.Options{At: func(step string) error { return m.at(ctx, "dispatcher: "+step) }})
}

// takeComponent plans to share the slot.
func (s *xdpSlot) takeComponent(ctx context.Context) error {
	if err := s.joinable(); err != nil {
		return s.refused(err)
	}
	target, function, err := s.h.manager.dispatcherTarget(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", s.p, err)
	}
	p := s.p
	p.open = target
	p.link.Via, p.link.Frags = viaDispatcher, p.spec.Flags&unix.BPF_F_XDP_HAS_FRAGS != 0
	if p.option(inspect.OptionPriority) == "" {
		p.choose(inspect.OptionPriority, strconv.FormatUint(uint64(s.order.priority), 10))
	}
	if p.option(schemas.OptionProceedOn) == "" {
		p.choose(schemas.OptionProceedOn, s.order.proceedOn.String())
	}
	if p.option(optionVia) == "" && s.Chain == nil && len(s.Single) == 0 {
		spec := *p.spec
		p.alone = func() func(error) {
			*p.spec, p.spec.AttachType = spec, ebpf.AttachNone // as matchTails left the others
			p.alone, p.link.Via, p.link.Frags = nil, viaLink, false
			withoutChain(p.link.Options)
			return s.tellAlone
		}
	}
	p.spec.Type, p.spec.AttachType, p.spec.Flags = ebpf.Extension, ebpf.AttachNone, p.spec.Flags&^unix.BPF_F_XDP_HAS_FRAGS
	p.spec.AttachTarget, p.spec.AttachTo = target, function
	return nil
}

// matchTails gives the XDP programs of an object the attach type of those that are
// components, which is none: a program goes on by a tail call only in one with the
// same (commit 4540aed51b12, Linux 6.18 and stable kernels since). To the kernel
// they are XDP programs with either.
func (o *object) matchTails() {
	component := func(p *ebpf.ProgramSpec) bool { return p.Type == ebpf.Extension }
	if !slices.ContainsFunc(slices.Collect(maps.Values(o.spec.Programs)), component) {
		return
	}
	for _, p := range o.spec.Programs {
		if p.Type == ebpf.XDP && p.AttachType == ebpf.AttachXDP {
			p.AttachType = ebpf.AttachNone
		}
	}
}

// dispatcherTarget is a dispatcher to load a component for. The caller closes it.
func (m *Manager) dispatcherTarget(ctx context.Context) (_ *ebpf.Program, function string, err error) {
	d, err := m.dispatchers(ctx)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = joined.Errors(err, d.Close()) }()
	target, function, err := d.Target()
	if err != nil {
		return nil, "", err
	}
	// d closes its own.
	target, err = target.Clone()
	return target, function, err
}

// newComponent is a program as a dispatcher takes it.
func newComponent(l schemas.InstanceLink, prog *ebpf.Program) (dispatcher.New, error) {
	order, err := readXDPOrder(l.Options)
	return dispatcher.New{
		Program: prog, Name: l.Program, Priority: order.priority, ProceedOn: order.proceedOn, Frags: l.Frags,
	}, err
}

// join puts the program into the chain.
func (x xdpHook) join(ctx context.Context, h *host, p *placement, prog *ebpf.Program) (err error) {
	d, err := h.manager.dispatchers(ctx)
	if err != nil {
		return fmt.Errorf("attaching %s: %w", p, err)
	}
	defer func() { err = joined.Errors(err, d.Close()) }()
	component, err := newComponent(p.link, prog)
	if err != nil {
		return p.usage("%v", err)
	}
	chain, err := x.add(ctx, d, h, p, component)
	if err != nil {
		return x.explainJoin(h, p, err)
	}
	p.choose(optionMode, chain.Mode)
	return nil
}

// add is [dispatcher.Dispatchers.Add], that tells the person what came of it that
// was not asked for.
func (xdpHook) add(ctx context.Context, d *dispatcher.Dispatchers, h *host, p *placement, component dispatcher.New) (dispatcher.Chain, error) {
	away := ""
	if component.Replace = p.displaces; component.Replace != 0 {
		away = h.owner(component.Replace)
	}
	chain, err := d.Add(ctx, int(p.link.Ifindex), p.option(optionMode), component)
	if err != nil {
		return chain, err
	}
	if away != "" {
		p.notice(h.log, "%s was put away from %q", away, p.link.Target)
	}
	if chain.NotNative != nil {
		p.noticeGeneric(h.log, chain.NotNative)
	}
	return chain, nil
}

// explainJoin puts what became of an attempt to share the slot into words.
func (x xdpHook) explainJoin(h *host, p *placement, err error) error {
	var single *dispatcher.SingleError
	switch {
	case errors.As(err, &single):
		return slotTaken(h, p, single.ID)
	case errors.Is(err, dispatcher.ErrFull), errors.Is(err, dispatcher.ErrVersion):
		return &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf("%w: %w", err, unix.EBUSY)}
	}
	return x.explain(h, p, err)
}

// remove takes the program out of the chain, if it is still in one.
func (xdpHook) remove(ctx context.Context, r *removal, l schemas.InstanceLink, prog schemas.InstanceProgram) error {
	if err := r.m.removeComponent(ctx, int(l.Ifindex), prog.ID); err != nil {
		return fmt.Errorf("taking program %q out of the XDP programs of %q: %w", l.Program, l.Target, err)
	}
	return nil
}

// sweep takes away the pins of dispatchers whose interface is gone.
func (xdpHook) sweep(ctx context.Context, r *removal) (err error) {
	d, err := r.m.dispatchers(ctx)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, d.Close()) }()
	_ = r.m.clearStaleDispatchers(ctx, d)
	return nil
}

// gone looks for the program in the chain.
func (xdpHook) gone(l schemas.InstanceLink, prog schemas.InstanceProgram) string {
	ctx, cancel := context.WithTimeout(context.Background(), slotReadTime)
	defer cancel()
	if _, err := netlink.LinkByIndex(int(l.Ifindex)); errors.As(err, &netlink.LinkNotFoundError{}) {
		return fmt.Sprintf("program %q: %q is gone, or was moved to another network namespace", l.Program, l.Target)
	}
	state, err := dispatcher.Read(ctx, int(l.Ifindex))
	if err != nil {
		return fmt.Sprintf("the XDP programs of %q cannot be read: %v", l.Target, err)
	}
	if s := (&xdpSlot{State: state}); s.component(prog.ID) {
		return ""
	}
	return fmt.Sprintf("program %q is not among the XDP programs of %q any more: somebody took it out, or the interface is another one", l.Program, l.Target)
}

// swap exchanges one component for another.
func (xdpHook) swap(ctx context.Context, m *Manager, l schemas.InstanceLink, from, to *ebpf.Program) (err error) {
	was, errFrom := programID(from)
	is, errTo := programID(to)
	if err := joined.Errors(errFrom, errTo); err != nil {
		return err
	}
	d, err := m.dispatchers(ctx)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, d.Close()) }()
	state, err := dispatcher.Read(ctx, int(l.Ifindex))
	if err != nil {
		return fmt.Errorf("looking at what is on %q: %w", l.Target, err)
	}
	if s := (&xdpSlot{State: state}); s.component(is) {
		_ = m.clearStaleDispatchers(ctx, d)
		return nil
	}
	component, err := newComponent(l, to)
	if err != nil {
		return err
	}
	_, err = d.Exchange(ctx, int(l.Ifindex), was, component)
	if errors.Is(err, dispatcher.ErrGone) {
		err = fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	if err != nil {
		return fmt.Errorf("exchanging program %q among the XDP programs of %q: %w", l.Program, l.Target, err)
	}
	_ = m.clearStaleDispatchers(ctx, d)
	return nil
}

// programID is the kernel's id of a loaded program.
func programID(prog *ebpf.Program) (uint32, error) {
	info, err := prog.Info()
	if err != nil {
		return 0, fmt.Errorf("reading back a program: %w", err)
	}
	id, _ := info.ID()
	return uint32(id), nil
}

// removeComponents takes programs out of every chain in this network namespace.
func (m *Manager) removeComponents(ctx context.Context, programs []uint32) error {
	devices, err := netlink.LinkList()
	if err != nil {
		return fmt.Errorf("listing interfaces: %w", err)
	}
	var errs []error
	for _, dev := range devices {
		state, err := dispatcher.Read(ctx, dev.Attrs().Index)
		if err != nil {
			errs = append(errs, fmt.Errorf("looking at what is on %q: %w", dev.Attrs().Name, err))
			continue
		}
		for _, id := range programs {
			if s := (&xdpSlot{State: state}); s.component(id) {
				errs = append(errs, m.removeComponent(ctx, dev.Attrs().Index, id))
			}
		}
	}
	return joined.Errors(errs...)
}

// removeComponent takes one program out of the chain of an interface, if it is
// still in there, and away what a killed command has left of dispatchers. A program
// that is in the chain of an interface elsewhere is an error.
func (m *Manager) removeComponent(ctx context.Context, ifindex int, id uint32) (err error) {
	d, err := m.dispatchers(ctx)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, d.Close()) }()
	removing := d.Remove(ctx, ifindex, id)
	if removing != nil && !errors.Is(removing, dispatcher.ErrGone) {
		return removing
	}
	if !m.clearStaleDispatchers(ctx, d) || removing == nil {
		return nil
	}
	folder, err := d.Holding(id)
	if err == nil && folder != "" {
		err = fmt.Errorf("it runs on in another chain, whose pins are in %s: its interface was moved to another network namespace; move it back or delete it, and try again", folder)
	}
	return err
}

// clearStaleDispatchers takes away what killed commands have left of dispatchers.
// It is in nobody's way, and where it cannot be told from what is in use (without
// a view of all processes), it stays; the answer is false then.
func (m *Manager) clearStaleDispatchers(ctx context.Context, d *dispatcher.Dispatchers) bool {
	_, err := d.Stale(ctx)
	if err != nil {
		m.log.Debug("pins of XDP dispatchers that may be attached nowhere stay", "reason", err)
	}
	return err == nil
}
