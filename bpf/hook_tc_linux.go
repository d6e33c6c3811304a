// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// tcHook attaches to the traffic control layer of a network interface, as a tcx
// link where the kernel has those (Linux 6.6) and as a direct-action filter of
// the clsact qdisc where it has not. Options:
//
//   - direction: "ingress" or "egress"; required unless the section says it;
//   - via: "tcx" or "clsact"; forces one. tcx programs run before the filters of
//     any qdisc;
//   - priority (1 to 65535, lower runs first). To tcx, which has no such thing,
//     it is a place in its list (see [wish.find]); to clsact that of the filter,
//     which the kernel chooses when none is given;
//   - order, before and after: other ways to say the place in tcx's list;
//   - handle (1 to 4294967295) of the filter; means via=clsact;
//   - proceed-on: return codes after which the next program runs too; see
//     [withEntry].
type tcHook struct{}

// Values of option via.
const (
	viaTCX    = "tcx"
	viaClsact = "clsact"
)

func (tcHook) programType() ebpf.ProgramType { return ebpf.SchedCLS }
func (tcHook) capability() capability        { return unix.CAP_NET_ADMIN }
func (tcHook) networked() bool               { return true }

func (t tcHook) prepare(ctx context.Context, h *host, p *placement) error {
	if err := needDirection(p); err != nil {
		return err
	}
	if _, _, err := filterNumbers(p); err != nil {
		return err
	}
	if err := checkProceedOn(p); err != nil {
		return err
	}
	if _, err := h.iface(p); err != nil {
		return err
	}
	via, err := t.chooseVia(p)
	if err != nil {
		return err
	}
	p.choose("via", via)
	if via == viaClsact {
		return prepareClsact(p)
	}
	return h.prepareRanked(ctx, p, tcxLineup(p, nil))
}

// needDirection refuses a placement of which it is not known which packets it is
// for.
func needDirection(p *placement) error {
	if p.option("direction") == "" {
		return p.usage("needs a direction: --attach %s,direction=ingress (or egress)", p)
	}
	return nil
}

// chooseVia decides between tcx and clsact.
func (tcHook) chooseVia(p *placement) (string, error) {
	w, err := wishOf(p)
	if err != nil {
		return "", err
	}
	handle := p.option("handle") != ""
	switch via := p.option("via"); {
	case via == viaTCX && handle:
		return "", p.usage("tcx has no handle; that goes with via=clsact")
	case (via == viaClsact || handle) && w.relative():
		return "", p.usage("option %s is for tcx: filters of clsact run in the order of their priority", w.option)
	case via == viaClsact, handle:
		return viaClsact, nil
	case haveTCX(p):
		return viaTCX, nil
	case via == viaTCX, w.relative():
		return "", fmt.Errorf("%s: %w", p, unsupported("tcx links", "6.6"))
	}
	return viaClsact, nil
}

// haveTCX asks the kernel what tcx programs the interface has: older kernels do
// not know the question.
func haveTCX(p *placement) bool {
	_, err := queryPrograms(link.QueryOptions{Target: int(p.link.Ifindex), Attach: tcxDirection(p)})
	return err == nil
}

func tcxDirection(p *placement) ebpf.AttachType {
	if p.option("direction") == "egress" {
		return ebpf.AttachTCXEgress
	}
	return ebpf.AttachTCXIngress
}

func (t tcHook) attach(ctx context.Context, h *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	if p.link.Via == viaNetlink {
		return nil, attachClsact(ctx, t, h, p, prog)
	}
	l, err := h.attachInOrder(ctx, p, tcxLineup(p, prog))
	if err != nil {
		return nil, err
	}
	return l, nil
}

// tcxLineup is the list of tcx programs of the interface and direction.
func tcxLineup(p *placement, prog *ebpf.Program) lineup {
	at := tcxDirection(p)
	return lineup{
		what:  fmt.Sprintf("tcx %s of %q", p.option("direction"), p.link.Target),
		query: link.QueryOptions{Target: int(p.link.Ifindex), Attach: at},
		attach: func(s spot, revision uint64) (link.Link, error) {
			l, err := link.AttachTCX(link.TCXOptions{
				Interface: int(p.link.Ifindex), Program: prog, Attach: at, Anchor: s.anchor(), ExpectedRevision: revision,
			})
			return l, mprogError(p, "tcx links", "6.6", err)
		},
	}
}

func (tcHook) filter(attrs netlink.FilterAttrs, prog *ebpf.Program, named schemas.InstanceProgram) netlink.Filter {
	return &netlink.BpfFilter{FilterAttrs: attrs, Fd: prog.FD(), Name: named.Name, DirectAction: true}
}

func (tcHook) runs(f netlink.Filter, prog schemas.InstanceProgram) bool {
	bf, ok := f.(*netlink.BpfFilter)
	return ok && uint32(bf.Id) == prog.ID && (prog.Tag == "" || bf.Tag == "" || bf.Tag == prog.Tag)
}

func (tcHook) lacks() error {
	return unsupported("traffic control with BPF (CONFIG_NET_SCH_INGRESS, CONFIG_NET_CLS_BPF)", "")
}

func (t tcHook) remove(ctx context.Context, r *removal, l schemas.InstanceLink, prog schemas.InstanceProgram) error {
	return removeClsact(ctx, t, r, l, prog)
}

func (t tcHook) gone(l schemas.InstanceLink, prog schemas.InstanceProgram) string {
	return clsactGone(t, l, prog)
}

// filterNumbers reads priority and handle, 0 where the kernel shall choose.
func filterNumbers(p *placement) (priority uint16, handle uint32, err error) {
	prio, err := optionNumber(p, "priority", 16)
	if err != nil {
		return 0, 0, err
	}
	hand, err := optionNumber(p, "handle", 32)
	return uint16(prio), uint32(hand), err
}

func optionNumber(p *placement, name string, bits int) (uint64, error) {
	s := p.option(name)
	if s == "" {
		return 0, nil
	}
	v, err := strconv.ParseUint(s, 0, bits)
	if err != nil || v == 0 {
		return 0, p.usage("%s is %q; it can be a number from 1 to %d", name, s, uint64(1)<<bits-1)
	}
	return v, nil
}
