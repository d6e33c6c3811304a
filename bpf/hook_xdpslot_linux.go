// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/cilium/ebpf/btf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// Options of hook xdp, besides those that other hooks have too.
const (
	optionMode    = "mode"
	optionVia     = "via"
	optionReplace = "replace"
)

// xdpSlot is the XDP slot of an interface as a placement finds it.
type xdpSlot struct {
	dispatcher.State
	h *host
	p *placement
	// order is where among others the program wants to run.
	order xdpOrder
	// blind is why nothing but the number of a program is known of the slot, nil
	// when all is.
	blind error
}

// xdpOrder is what the options say of a program's place in a chain.
type xdpOrder struct {
	priority  uint32
	proceedOn dispatcher.Actions
}

// readXDPOrder reads options priority and proceed-on, or their defaults.
func readXDPOrder(options map[string]string) (order xdpOrder, err error) {
	order.priority = dispatcher.DefaultPriority
	if text := options[inspect.OptionPriority]; text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return order, fmt.Errorf("option priority is %q; it can be a number from 0 to %d", text, uint32(1<<32-1))
		}
		order.priority = uint32(n)
	}
	list := options[schemas.OptionProceedOn]
	switch list {
	case "":
		list = inspect.XDPProceedOn
	case inspect.XDPNever:
		return order, nil
	}
	if order.proceedOn, err = dispatcher.ParseActions(list); err != nil {
		return order, fmt.Errorf("option %s: %w; or %s", schemas.OptionProceedOn, err, inspect.XDPNever)
	}
	return order, nil
}

// look reads the options and the slot.
func (xdpHook) look(ctx context.Context, h *host, p *placement) (*xdpSlot, error) {
	s := &xdpSlot{h: h, p: p}
	var err error
	if s.order, err = readXDPOrder(p.link.Options); err != nil {
		return nil, p.usage("%v", err)
	}
	s.State, err = dispatcher.Read(ctx, int(p.link.Ifindex))
	if errors.Is(err, unix.EPERM) {
		s.blind = fmt.Errorf("what is there cannot be looked at, for which CAP_SYS_ADMIN is needed: %w", err)
		err = s.glance()
	}
	if err != nil {
		return nil, fmt.Errorf("%s: looking at what is on %q: %w", p, p.link.Target, err)
	}
	return s, nil
}

// glance asks for no more than the number of the program in the slot.
func (s *xdpSlot) glance() error {
	l, err := netlink.LinkByIndex(int(s.p.link.Ifindex))
	if err != nil {
		return err
	}
	if x := l.Attrs().Xdp; x != nil && x.Attached {
		s.Single = []dispatcher.Single{{ID: x.ProgId}}
	}
	return nil
}

// chooseVia decides between a dispatcher and having the slot alone; the reason
// says why it is the latter when nobody asked for that.
func (s *xdpSlot) chooseVia() (via string, reason, err error) {
	asked := s.p.option(optionVia)
	switch {
	case s.p.replaces != 0 && s.holds(s.p.replaces):
		return viaLink, nil, nil // what an update exchanges stays as it is
	case s.p.replaces != 0 && s.component(s.p.replaces):
		return viaDispatcher, nil, nil
	case s.h.foreground && asked == viaDispatcher:
		return "", nil, s.p.usage("via=dispatcher outlives its process, and --foreground is to end with it: leave one of them out")
	case s.h.foreground, asked == viaLink:
		return viaLink, nil, nil
	}
	if reason = s.noComponent(); reason == nil {
		return viaDispatcher, nil, nil
	}
	if asked == viaDispatcher {
		return "", nil, s.refused(fmt.Errorf("via=dispatcher is not possible: %w", reason))
	}
	return viaLink, reason, nil
}

// noComponent says why the program cannot share the slot, nil when nothing is
// known that would keep it from that.
func (s *xdpSlot) noComponent() error {
	if s.blind != nil {
		return s.blind
	}
	if err := dispatcher.Supported(); err != nil {
		return err
	}
	if s.h.plan != nil && s.h.plan.calledByTail(s.p.link.Program) {
		return errors.New("the program is in a program array of its own image, and one that replaces a function cannot be called from there")
	}
	if s.p.spec.Ifindex != 0 || s.p.spec.Flags&unix.BPF_F_XDP_DEV_BOUND_ONLY != 0 {
		return errors.New("the program is bound to its device")
	}
	function := btf.FuncMetadata(&s.p.spec.Instructions[0])
	if function == nil {
		return errors.New("the object has no type information for the program, which the kernel compares with the place it takes: compile with -g")
	}
	return nil
}

// calledByTail says whether an object puts the program into a program array.
func (p *plan) calledByTail(program string) bool {
	return slices.ContainsFunc(p.objects, func(o *object) bool { return o.tailPrograms()[program] != "" })
}

// holds says whether the slot is a program's alone.
func (s *xdpSlot) holds(id uint32) bool {
	return slices.ContainsFunc(s.Single, func(o dispatcher.Single) bool { return o.ID == id })
}

// component says whether the program is in the chain.
func (s *xdpSlot) component(id uint32) bool {
	return s.Chain != nil && slices.ContainsFunc(s.Chain.Programs, func(o dispatcher.Program) bool { return o.ID == id })
}

// takeAlone plans to have the slot, which must be free for that. reason says why
// the program does not share it, nil when that is what was asked for.
func (s *xdpSlot) takeAlone(reason error) error {
	if err := s.free(); err != nil {
		if s.p.option(optionReplace) == "true" && s.Chain == nil {
			err = fmt.Errorf("%w; replace=true goes with via=dispatcher", err)
		}
		if reason != nil {
			err = fmt.Errorf("%w; the two cannot share it: %w", err, reason)
		}
		return s.refused(err)
	}
	withoutChain(s.p.link.Options)
	if reason != nil {
		s.tellAlone(reason)
	}
	return nil
}

// tellAlone tells the person why the program does not share its interface. What is
// so for every program on this kernel is no news each time: the record has it, and
// the error when a second program comes.
func (s *xdpSlot) tellAlone(reason error) {
	log := s.h.log.Warn
	if s.blind != nil || errors.Is(reason, dispatcher.ErrUnsupported) {
		log = s.h.log.Debug
	}
	s.p.noticeAt(log, "%q is not shared with other XDP programs: %v", s.p.link.Target, reason)
}

// withoutChain takes out what says nothing of an XDP program that is alone.
func withoutChain(options map[string]string) {
	delete(options, inspect.OptionPriority)
	delete(options, schemas.OptionProceedOn)
}

// free says who has the slot, nil when nobody has, or only the program that is to
// be replaced.
func (s *xdpSlot) free() error {
	if s.Chain != nil {
		return fmt.Errorf("the XDP slot of %q is taken by a chain of %d programs (%s): %w",
			s.p.link.Target, len(s.Chain.Programs), s.names(), unix.EBUSY)
	}
	for _, o := range s.Single {
		if o.ID != s.p.replaces {
			return fmt.Errorf("the XDP slot of %q is taken by %s: %w", s.p.link.Target, s.h.owner(o.ID), unix.EBUSY)
		}
	}
	return nil
}

// names lists the programs of the chain.
func (s *xdpSlot) names() string {
	var names []string
	for _, o := range s.Chain.Programs {
		names = append(names, o.Name)
	}
	return quoted(names)
}

// refused is an error for what stands in the way.
func (s *xdpSlot) refused(err error) error {
	return &KernelError{Op: "attaching " + s.p.String(), Err: err}
}

// joinable says why the program cannot go into the slot beside what is there.
func (s *xdpSlot) joinable() error {
	if s.Chain != nil {
		return s.joinableChain()
	}
	for _, o := range s.Single {
		if o.Mode == dispatcher.ModeOffload {
			continue // it runs in the device, before the slot
		}
		if err := s.displaceable(o); err != nil {
			return err
		}
		s.p.displaces = o.ID
	}
	return nil
}

func (s *xdpSlot) joinableChain() error {
	target, mode := s.p.link.Target, s.p.option(optionMode)
	switch c := s.Chain; {
	case c.Version != dispatcher.Version:
		return fmt.Errorf("%q has a dispatcher of version %d, which bpfimg shows and does not change: remove it with the tool that put it there: %w: %w",
			target, c.Version, dispatcher.ErrVersion, unix.EBUSY)
	case mode != "" && mode != c.Mode:
		return fmt.Errorf("the programs on %q run in %s mode, all of them: mode=%s is not possible beside them: %w", target, c.Mode, mode, unix.EBUSY)
	case len(c.Programs) >= dispatcher.Slots && !s.component(s.p.replaces):
		return fmt.Errorf("there are %d programs on %q already, the most a dispatcher calls (%s): %w: %w",
			dispatcher.Slots, target, s.names(), dispatcher.ErrFull, unix.EBUSY)
	}
	return nil
}

// displaceable says why a program that is in the slot without a dispatcher has to
// stay.
func (s *xdpSlot) displaceable(o dispatcher.Single) error {
	taken := fmt.Sprintf("the XDP slot of %q is taken by %s", s.p.link.Target, s.h.owner(o.ID))
	if name := s.h.instanceOf(o.ID); name != "" {
		return fmt.Errorf("%s, which has it alone: `bpfimg stop %s` and run it again, and both share it: %w", taken, name, unix.EBUSY)
	}
	switch {
	case o.Link:
		return fmt.Errorf("%s, by a bpf_link that only its owner can take away: %w", taken, unix.EBUSY)
	case s.p.option(optionReplace) != "true":
		return fmt.Errorf("%s, without a dispatcher: replace=true puts it away: %w", taken, unix.EBUSY)
	}
	return nil
}

// instanceOf is the instance that a program belongs to, "" when it is none of ours.
func (h *host) instanceOf(id uint32) string {
	for _, r := range h.records {
		for _, p := range r.Programs {
			if p.ID == id {
				return r.Name
			}
		}
	}
	return ""
}
