// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// bpfRoute is a route that sends packets through a program, as the options of an
// attachment say it.
type bpfRoute struct {
	prefix    netip.Prefix
	direction string
	ifindex   uint32
	// via is the gateway, the zero Addr when there is none.
	via           netip.Addr
	table, metric uint32
	headroom      int
}

const (
	// ip6DefaultMetric is what the kernel makes of metric 0 for IPv6
	// (IP6_RT_PRIO_USER).
	ip6DefaultMetric = 1024
	// maxHeadroom is LWT_BPF_MAX_HEADROOM.
	maxHeadroom = 256
	// routeTries bounds how often routes are listed anew that changed meanwhile.
	routeTries = 10
)

// parseRoute reads target and options of an attachment, with defaults for those
// that are not given. The errors are sentences about them.
func parseRoute(l schemas.InstanceLink) (bpfRoute, error) {
	prefix, err := parsePrefix(l.Target)
	if err != nil {
		return bpfRoute{}, err
	}
	r := bpfRoute{prefix: prefix, direction: l.Options["direction"], ifindex: l.Ifindex}
	if via := l.Options["via"]; via != "" {
		r.via, err = netip.ParseAddr(via)
		if err != nil || r.via.Is4() != prefix.Addr().Is4() || r.via.Zone() != "" {
			return r, fmt.Errorf("via is %q; it can be an address of the same family as %s", via, prefix)
		}
	}
	metric := uint64(0)
	if prefix.Addr().Is6() {
		metric = ip6DefaultMetric
	}
	table, err := numberBetween(l, "table", unix.RT_TABLE_MAIN, 1, 1<<32-1)
	if err != nil {
		return r, err
	}
	lowest := min(metric, 1) // IPv6 takes 0 for the default, which is another number
	if metric, err = numberBetween(l, "metric", metric, lowest, 1<<32-1); err != nil {
		return r, err
	}
	headroom, err := numberBetween(l, "headroom", 0, 0, maxHeadroom)
	r.table, r.metric, r.headroom = uint32(table), uint32(metric), int(headroom)
	return r, err
}

// parsePrefix takes a prefix, or an address for that alone.
func parsePrefix(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	} else if err == nil {
		return prefix, fmt.Errorf("%q has a zone, and a route has none", s)
	}
	if !prefix.IsValid() {
		return prefix, fmt.Errorf("%q is no prefix, such as 10.1.0.0/24 or 2001:db8::/64: %w", s, err)
	}
	if prefix.Masked() != prefix {
		return prefix, fmt.Errorf("%s is an address with a length; the prefix is %s", prefix, prefix.Masked())
	}
	if prefix.Addr().Is4In6() {
		return prefix, fmt.Errorf("%s is an IPv4 address written as an IPv6 one", prefix)
	}
	return prefix, nil
}

func numberBetween(l schemas.InstanceLink, name string, preset, low, high uint64) (uint64, error) {
	s := l.Options[name]
	if s == "" {
		return preset, nil
	}
	n, err := strconv.ParseUint(s, 0, 64)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("%s is %q; it can be a number from %d to %d", name, s, low, high)
	}
	return n, nil
}

// String names the route as `ip route` does.
func (r bpfRoute) String() string {
	return fmt.Sprintf("%s in table %d with metric %d", r.prefix, r.table, r.metric)
}

// netlink is the route without what it does to packets.
func (r bpfRoute) netlink() *netlink.Route {
	route := &netlink.Route{
		LinkIndex: int(r.ifindex), Table: int(r.table), Priority: int(r.metric),
		Dst: &net.IPNet{IP: r.prefix.Addr().AsSlice(), Mask: net.CIDRMask(r.prefix.Bits(), r.prefix.Addr().BitLen())},
		// As `ip route add` does.
		Protocol: unix.RTPROT_BOOT,
	}
	if r.via.IsValid() {
		route.Gw = r.via.AsSlice()
	} else if r.prefix.Addr().Is4() {
		route.Scope = netlink.SCOPE_LINK
	}
	return route
}

// find lists the routes to r's prefix in r's table with r's metric, of which there
// is one at most, or several next hops of one (IPv6).
func (r bpfRoute) find() ([]netlink.Route, error) {
	family := netlink.FAMILY_V4
	if r.prefix.Addr().Is6() {
		family = netlink.FAMILY_V6
	}
	var routes []netlink.Route
	var err error = netlink.ErrDumpInterrupted
	for try := 0; try < routeTries && errors.Is(err, netlink.ErrDumpInterrupted); try++ {
		routes, err = netlink.RouteListFiltered(family, r.netlink(), netlink.RT_FILTER_TABLE|netlink.RT_FILTER_DST)
	}
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	return slices.DeleteFunc(routes, func(route netlink.Route) bool { return uint32(route.Priority) != r.metric }), nil
}

// ours says whether the route sends packets through the program.
func ours(route netlink.Route, prog schemas.InstanceProgram) bool {
	if encapLabels(route.Encap, prog) {
		return true
	}
	return slices.ContainsFunc(route.MultiPath, func(hop *netlink.NexthopInfo) bool { return encapLabels(hop.Encap, prog) })
}

// encapLabels looks for the program's label in what the kernel lists; for one
// program that is all there is, and the netlink library gives it as text only.
func encapLabels(encap netlink.Encap, prog schemas.InstanceProgram) bool {
	switch e := encap.(type) {
	case *netlink.BpfEncap:
		return labels(e.String(), prog)
	case *netlink.SEG6LocalEncap:
		// The kernel ends the label with a zero byte, and the library adds a number.
		label, _, _ := strings.Cut(e.String(), "\x00")
		return labels(label, prog)
	}
	return false
}
