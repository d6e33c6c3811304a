// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"io"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// actionHook attaches to the traffic control layer of a network interface as an
// action: the one action of a filter of the clsact qdisc that matches every
// packet. Options are direction, priority and handle, as of [tcHook].
type actionHook struct{}

func (actionHook) programType() ebpf.ProgramType { return ebpf.SchedACT }
func (actionHook) capability() capability        { return unix.CAP_NET_ADMIN }
func (actionHook) networked() bool               { return true }

// probe tries it on the loopback interface of a network namespace made for that.
func (a actionHook) probe() error {
	if err := features.HaveProgramType(ebpf.SchedACT); err != nil {
		return err
	}
	err := inNewNetns(a.try)
	if errors.Is(err, unix.EPERM) {
		return nil // no namespace for us: attaching tells
	}
	return err
}

func (a actionHook) try() error {
	const loopback = 1
	prog, err := tinyProgram(&ebpf.ProgramSpec{Type: ebpf.SchedACT}, 0)
	if err != nil {
		return err
	}
	err = netlink.QdiscAdd(clsact(loopback))
	if err == nil {
		err = netlink.FilterAdd(a.filter(netlink.FilterAttrs{
			LinkIndex: loopback, Parent: netlink.HANDLE_MIN_INGRESS, Protocol: unix.ETH_P_ALL,
		}, prog, schemas.InstanceProgram{Name: "probe"}))
	}
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		err = a.lacks()
	}
	return joined.Errors(err, prog.Close())
}

func (actionHook) prepare(_ context.Context, h *host, p *placement) error {
	if err := needDirection(p); err != nil {
		return err
	}
	if _, _, err := filterNumbers(p); err != nil {
		return err
	}
	if _, err := h.iface(p); err != nil {
		return err
	}
	return prepareClsact(p)
}

func (a actionHook) attach(ctx context.Context, h *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	return nil, attachClsact(ctx, a, h, p, prog)
}

// filter leaves a packet for which the program answers TC_ACT_UNSPEC to the next
// filter, as tc does when it is told nothing.
func (actionHook) filter(attrs netlink.FilterAttrs, prog *ebpf.Program, named schemas.InstanceProgram) netlink.Filter {
	return &netlink.MatchAll{FilterAttrs: attrs, Actions: []netlink.Action{&netlink.BpfAction{
		ActionAttrs: netlink.ActionAttrs{Action: netlink.TC_ACT_PIPE}, Fd: prog.FD(), Name: labelOf(named),
	}}}
}

func (actionHook) runs(f netlink.Filter, prog schemas.InstanceProgram) bool {
	m, ok := f.(*netlink.MatchAll)
	if !ok || len(m.Actions) != 1 {
		return false // somebody else's, or changed by them
	}
	action, ok := m.Actions[0].(*netlink.BpfAction)
	return ok && labels(action.Name, prog)
}

func (actionHook) lacks() error {
	return unsupported("traffic control with BPF actions (modules sch_ingress, cls_matchall and act_bpf: "+
		"CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_MATCHALL, CONFIG_NET_ACT_BPF)", "")
}

func (a actionHook) remove(ctx context.Context, r *removal, l schemas.InstanceLink, prog schemas.InstanceProgram) error {
	return removeClsact(ctx, a, r, l, prog)
}

func (a actionHook) gone(l schemas.InstanceLink, prog schemas.InstanceProgram) string {
	return clsactGone(a, l, prog)
}
