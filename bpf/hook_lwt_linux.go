// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/features"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// lwtHook attaches to a route (a lightweight tunnel), which it makes: packets to
// the target, a prefix, go through the program. Options:
//
//   - direction: "in" (packets that arrive and are forwarded), "out" (packets this
//     machine sends), "xmit" (all that leave, where headers can be added), or
//     "seg6local" (the function of an IPv6 segment, End.BPF); required unless the
//     section says it;
//   - dev, via, table and metric, as of `ip route add`; dev is required;
//   - headroom: bytes to reserve before a packet with direction=xmit.
type lwtHook struct{}

// lwtLacking is what a kernel without it lacks.
const (
	lwtLacking       = "BPF programs on routes (CONFIG_LWTUNNEL_BPF)"
	seg6localLacking = "seg6local routes (CONFIG_IPV6_SEG6_LWTUNNEL)"
)

func (lwtHook) programType() ebpf.ProgramType { return ebpf.LWTXmit }
func (lwtHook) capability() capability        { return unix.CAP_NET_ADMIN }
func (lwtHook) networked() bool               { return false }

func (lwtHook) target() (what, example string) { return "a route", "10.1.0.0/24,dev=INTERFACE" }

// programTypeOf is by direction.
func (lwtHook) programTypeOf(options map[string]string) (ebpf.ProgramType, string) {
	switch direction := options["direction"]; direction {
	case "in":
		return ebpf.LWTIn, "lwt_in"
	case "out":
		return ebpf.LWTOut, "lwt_out"
	case "seg6local":
		return ebpf.LWTSeg6Local, "lwt_seg6local"
	}
	return ebpf.LWTXmit, "lwt_xmit"
}

// lwtMode is the kernel's number of a direction.
func lwtMode(direction string) int {
	switch direction {
	case "in":
		return nl.LWT_BPF_IN
	case "out":
		return nl.LWT_BPF_OUT
	}
	return nl.LWT_BPF_XMIT
}

func (lwtHook) probe() error {
	if err := features.HaveProgramType(ebpf.LWTXmit); err != nil {
		return err
	}
	// 192.0.2.0/24 is for documentation (RFC 5737).
	return probeEncap(netip.MustParsePrefix("192.0.2.0/24"), nl.LWTUNNEL_ENCAP_BPF, lwtLacking)
}

// emptyEncap says nothing but what kind it is.
type emptyEncap int

func (e emptyEncap) Type() int                      { return int(e) }
func (emptyEncap) Decode([]byte) error              { return nil }
func (emptyEncap) Encode() ([]byte, error)          { return nil, nil }
func (emptyEncap) String() string                   { return "" }
func (e emptyEncap) Equal(other netlink.Encap) bool { return other == e }

// probeEncap asks for a route that cannot be, for it does not say what to do with
// packets: a kernel without that kind of route says so first.
func probeEncap(prefix netip.Prefix, kind int, lacking string) error {
	route := bpfRoute{prefix: prefix, ifindex: 1, table: unix.RT_TABLE_MAIN}.netlink()
	route.Encap = emptyEncap(kind)
	err := netlink.RouteAdd(route)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EAFNOSUPPORT) {
		return unsupported(lacking, "")
	}
	return nil
}

// prepare refuses a route where there is one already.
func (l lwtHook) prepare(_ context.Context, h *host, p *placement) error {
	if err := l.check(p); err != nil {
		return err
	}
	dev, err := h.ifaceNamed(p, p.option("dev"))
	if err != nil {
		return err
	}
	if dev.Attrs().Flags&unix.IFF_UP == 0 {
		return fmt.Errorf("%s: %w: %q is down, and such an interface has no routes: `ip link set %s up`",
			p, ErrNoTarget, p.option("dev"), p.option("dev"))
	}
	r, err := parseRoute(p.link)
	if err != nil {
		return p.usage("%v", err)
	}
	p.link.Via, p.link.Target = viaNetlink, r.prefix.String()
	p.choose("table", fmt.Sprint(r.table))
	p.choose("metric", fmt.Sprint(r.metric))
	there, err := r.find()
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	if len(there) > 0 {
		return routeTaken(p, r)
	}
	return nil
}

// check looks at what was asked for.
func (l lwtHook) check(p *placement) error {
	direction := p.option("direction")
	if direction == "" {
		return p.usage("needs a direction: --attach %s,dev=INTERFACE,direction=xmit (or in, out, seg6local)", p)
	}
	if want, name := l.programTypeOf(p.link.Options); p.spec.Type != want {
		return p.usage("direction=%s is for programs of type %s, and this one is of type %s", direction, name, p.spec.Type)
	}
	if p.option("dev") == "" {
		return p.usage("needs the interface the route goes out of: --attach %s,dev=INTERFACE", p)
	}
	if p.option("headroom") != "" && direction != "xmit" {
		return p.usage("headroom goes with direction=xmit only")
	}
	r, err := parseRoute(p.link)
	if err != nil {
		return p.usage("%v", err)
	}
	if direction != "seg6local" {
		return nil
	}
	if r.prefix.Addr().Is4() {
		return p.usage("%s is not IPv6, and segments are", r.prefix)
	}
	// 2001:db8::/32 is for documentation (RFC 3849).
	if err := probeEncap(netip.MustParsePrefix("2001:db8::/64"), nl.LWTUNNEL_ENCAP_SEG6_LOCAL, seg6localLacking); err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	return nil
}

func routeTaken(p *placement, r bpfRoute) error {
	return &KernelError{Op: "attaching " + p.String(), Err: fmt.Errorf(
		"there is a route to %s already, which bpfimg does not replace: choose another metric or table: %w", r, unix.EEXIST)}
}

func (lwtHook) attach(_ context.Context, _ *host, p *placement, prog *ebpf.Program) (io.Closer, error) {
	r, err := parseRoute(p.link)
	if err != nil {
		return nil, p.usage("%v", err)
	}
	named, err := loadedAs(p, prog)
	if err != nil {
		return nil, err
	}
	route := r.netlink()
	if route.Encap, err = r.encap(prog, labelOf(named)); err != nil {
		return nil, fmt.Errorf("attaching %s: %w", p, err)
	}
	if err := netlink.RouteAdd(route); err != nil {
		return nil, lwtError(p, r, err)
	}
	return nil, nil
}

// encap is what the route does to packets.
func (r bpfRoute) encap(prog *ebpf.Program, label string) (netlink.Encap, error) {
	if r.direction == "seg6local" {
		e := &netlink.SEG6LocalEncap{Action: nl.SEG6_LOCAL_ACTION_END_BPF}
		e.Flags[nl.SEG6_LOCAL_ACTION], e.Flags[nl.SEG6_LOCAL_BPF] = true, true
		return e, e.SetProg(prog.FD(), label)
	}
	e := &netlink.BpfEncap{}
	return e, joined.Errors(e.SetProg(lwtMode(r.direction), prog.FD(), label), e.SetXmitHeadroom(r.headroom))
}

// lwtError puts the kernel's answer into words.
func lwtError(p *placement, r bpfRoute, err error) error {
	dev := p.option("dev")
	switch {
	case errors.Is(err, unix.EEXIST):
		return routeTaken(p, r)
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("attaching %s: %w: interface %q is gone or down: %w", p, ErrNoTarget, dev, err)
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		err = fmt.Errorf("the gateway %s cannot be reached through %q: %w", r.via, dev, err)
	}
	return attachError(p, lwtLacking, "", err)
}

// remove removes the route if it still goes through our program.
func (lwtHook) remove(_ context.Context, _ *removal, l schemas.InstanceLink, prog schemas.InstanceProgram) error {
	r, err := parseRoute(l)
	if err != nil {
		return fmt.Errorf("removing the route of program %q: %w", l.Program, err)
	}
	routes, err := r.find()
	if err != nil {
		return fmt.Errorf("removing the route of program %q: %w", l.Program, err)
	}
	for _, route := range routes {
		if !ours(route, prog) {
			continue
		}
		if err := netlink.RouteDel(r.netlink()); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENODEV) {
			return fmt.Errorf("removing the route of program %q to %s: %w", l.Program, r, err)
		}
	}
	return nil
}

func (lwtHook) gone(l schemas.InstanceLink, prog schemas.InstanceProgram) string {
	r, err := parseRoute(l)
	if err != nil {
		return fmt.Sprintf("the route of program %q: %v", l.Program, err)
	}
	routes, err := r.find()
	if err != nil {
		return err.Error()
	}
	for _, route := range routes {
		if ours(route, prog) {
			return ""
		}
	}
	return fmt.Sprintf("the route of program %q to %s is gone: somebody removed or changed it, or its interface %q went down or away",
		l.Program, r, l.Options["dev"])
}
