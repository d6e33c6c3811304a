// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// lwt places one program of the object on a route, and the others nowhere.
func lwt(t *testing.T, program, target string) []schemas.Attachment {
	t.Helper()
	list := []string{program + "=lwt:" + target}
	for _, other := range []string{"on_in", "on_out", "on_xmit", "on_segment"} {
		if other != program {
			list = append(list, other+"=none")
		}
	}
	return attachments(t, list...)
}

// routesTo lists the routes to a prefix in all tables.
func routesTo(t *testing.T, prefix string) []netlink.Route {
	t.Helper()
	_, dst, err := net.ParseCIDR(prefix)
	if err != nil {
		t.Fatal(err)
	}
	family := netlink.FAMILY_V4
	if dst.IP.To4() == nil {
		family = netlink.FAMILY_V6
	}
	routes, err := netlink.RouteListFiltered(family, &netlink.Route{Dst: dst}, netlink.RT_FILTER_DST|netlink.RT_FILTER_TABLE)
	if err != nil {
		t.Fatal(err)
	}
	return routes
}

func (b *bench) stopRoute(rec schemas.Instance, prefix string) {
	b.t.Helper()
	b.stop(rec)
	if left := routesTo(b.t, prefix); len(left) > 0 {
		b.t.Errorf("left: %v", left)
	}
}

// TestLWTXmit drops what leaves, of which the sender is told.
func TestLWTXmit(t *testing.T) {
	b := newBench(t)
	address(t, dev, "192.0.2.1/32")
	to := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{10, 1, 0, 5}}
	rec := b.start(verified(t, "x", objLWT), RunOptions{Attach: lwt(t, "on_xmit", "10.1.0.0/24,dev="+dev+",direction=xmit")})
	if l := rec.Links[0]; l.Via != viaNetlink || l.Options["table"] != "254" || l.Options["metric"] != "0" || l.Options["dev"] != dev {
		t.Errorf("link: %+v", l)
	}
	wantError(t, say(t, to, 1), unix.EPERM)
	b.wantCount(rec.Name, "packets", 2, 1)
	b.stopRoute(rec, "10.1.0.0/24")
	wantError(t, say(t, to, 1), unix.ENETUNREACH)
}

// TestLWTOut is about IPv6, a gateway, another table and another metric.
func TestLWTOut(t *testing.T) {
	b := newBench(t)
	sysctl(t, "ipv6/conf/"+dev+"/disable_ipv6", "0")
	address(t, dev, "2001:db8:1::1/64")
	rec := b.start(verified(t, "x", objLWT), RunOptions{Attach: lwt(t, "on_out", "2001:db8:2::/48,dev="+dev+",via=2001:db8:1::2,table=1000,metric=7")})
	routes := routesTo(t, "2001:db8:2::/48")
	if len(routes) != 1 || routes[0].Table != 1000 || routes[0].Priority != 7 || routes[0].Gw.String() != "2001:db8:1::2" {
		t.Fatalf("routes: %v", routes)
	}
	rule := netlink.NewRule()
	rule.Table, rule.Family = 1000, netlink.FAMILY_V6
	if err := netlink.RuleAdd(rule); err != nil {
		t.Skipf("SKIP-REASON: needs a kernel with policy routing (CONFIG_IPV6_MULTIPLE_TABLES): %v", err)
	}
	to := &unix.SockaddrInet6{Port: 9, Addr: netip.MustParseAddr("2001:db8:2::5").As16()}
	if err := say(t, to, 1); err != nil {
		t.Error(err)
	}
	b.wantCount(rec.Name, "packets", 1, 1)
	b.stopRoute(rec, "2001:db8:2::/48")
}

// forward makes this a router, and gives the frame of a packet that arrives at
// dev to be forwarded.
func forward(t *testing.T, etherType uint16, packet []byte) []byte {
	t.Helper()
	for _, name := range []string{"ipv4/conf/all/forwarding", "ipv4/conf/" + dev + "/forwarding", "ipv6/conf/all/forwarding"} {
		sysctl(t, name, "1")
	}
	sysctl(t, "ipv4/conf/all/rp_filter", "0")
	sysctl(t, "ipv4/conf/"+dev+"/rp_filter", "0")
	frame := append([]byte(netlinkByName(t, dev).Attrs().HardwareAddr), netlinkByName(t, peer).Attrs().HardwareAddr...)
	return append(binary.BigEndian.AppendUint16(frame, etherType), packet...)
}

// sendFrame puts one on the wire at peer.
func sendFrame(t *testing.T, frame []byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: netlinkByName(t, peer).Attrs().Index, Halen: 6}); err != nil {
		t.Fatal(err)
	}
}

// udp4 is an IPv4 packet without a payload.
func udp4(from, to string) []byte {
	p := make([]byte, 28)
	copy(p, []byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, unix.IPPROTO_UDP})
	copy(p[12:], netip.MustParseAddr(from).AsSlice())
	copy(p[16:], netip.MustParseAddr(to).AsSlice())
	copy(p[20:], []byte{0, 9, 0, 9, 0, 8})
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum+sum>>16))
	return p
}

// TestLWTIn has a packet forwarded.
func TestLWTIn(t *testing.T) {
	b := newBench(t)
	address(t, dev, "192.0.2.1/24")
	rec := b.start(verified(t, "x", objLWT), RunOptions{Attach: lwt(t, "on_in", "10.1.0.0/24,dev="+dev)})
	sendFrame(t, forward(t, unix.ETH_P_IP, udp4("192.0.2.9", "10.1.0.5")))
	b.wantCount(rec.Name, "packets", 0, 1)
	b.stopRoute(rec, "10.1.0.0/24")
}

// TestLWTSegment sends a packet through a segment: IPv6 with a routing header of
// type 4 (RFC 8754) whose next segment the route is for.
func TestLWTSegment(t *testing.T) {
	b := newBench(t)
	sysctl(t, "ipv6/conf/"+dev+"/disable_ipv6", "0")
	rec := b.start(verified(t, "x", objLWT), RunOptions{Attach: lwt(t, "on_segment", "2001:db8:5::1,dev="+dev+",direction=seg6local")})
	if rec.Links[0].Target != "2001:db8:5::1/128" {
		t.Errorf("target %q", rec.Links[0].Target)
	}
	segment, last := netip.MustParseAddr("2001:db8:5::1").AsSlice(), netip.MustParseAddr("2001:db8:6::1").AsSlice()
	srh := append([]byte{unix.IPPROTO_NONE, 4, 4, 1, 1, 0, 0, 0}, append(last, segment...)...)
	packet := append([]byte{0x60, 0, 0, 0, 0, byte(len(srh)), unix.IPPROTO_ROUTING, 64}, netip.MustParseAddr("2001:db8:7::1").AsSlice()...)
	packet = append(append(packet, segment...), srh...)
	sendFrame(t, forward(t, unix.ETH_P_IPV6, packet))
	b.wantCount(rec.Name, "packets", 3, 1)
	b.stopRoute(rec, "2001:db8:5::1/128")
}

// TestLWTForeign is about routes of somebody else: they stay, whether they were
// there before or took the place of ours.
func TestLWTForeign(t *testing.T) {
	b := newBench(t)
	v := verified(t, "x", objLWT)
	_, dst, _ := net.ParseCIDR("10.1.0.0/24")
	theirs := &netlink.Route{LinkIndex: netlinkByName(t, dev).Attrs().Index, Dst: dst, Scope: netlink.SCOPE_LINK}
	if err := netlink.RouteAdd(theirs); err != nil {
		t.Fatal(err)
	}
	b.opts.step = func(step string) error {
		t.Errorf("step %q in spite of the route", step)
		return nil
	}
	b.reopen()
	_, err := b.Run(t.Context(), v, RunOptions{Attach: lwt(t, "on_xmit", "10.1.0.0/24,dev="+dev)})
	wantError(t, err, unix.EEXIST, "10.1.0.0/24 in table 254 with metric 0", "another metric")
	b.disarm()
	rec := b.start(v, RunOptions{Attach: lwt(t, "on_xmit", "10.1.0.0/24,metric=5,headroom=20,dev="+dev)})
	second := b.start(v, RunOptions{Name: "second", Attach: lwt(t, "on_xmit", "10.1.0.0/24,metric=6,dev="+dev)})
	b.stop(second)
	if n := len(routesTo(t, "10.1.0.0/24")); n != 2 {
		t.Errorf("%d routes, want theirs and that of the first instance", n)
	}
	theirs.Priority = 5
	if err := netlink.RouteReplace(theirs); err != nil {
		t.Fatal(err)
	}
	if st, err := b.Get(t.Context(), rec.Name); err != nil || !strings.Contains(strings.Join(st.Problems, ""), "somebody removed or changed it") {
		t.Errorf("%+v, %v", st.Problems, err)
	}
	b.stop(rec)
	if n := len(routesTo(t, "10.1.0.0/24")); n != 2 {
		t.Errorf("%d routes are left, want both of somebody else", n)
	}
}

// TestLWTDown is about an interface that goes down, and its routes with it.
func TestLWTDown(t *testing.T) {
	b := newBench(t)
	v := verified(t, "x", objLWT)
	rec := b.start(v, RunOptions{Attach: lwt(t, "on_xmit", "10.1.0.0/24,dev="+dev)})
	if err := netlink.LinkSetDown(netlinkByName(t, dev)); err != nil {
		t.Fatal(err)
	}
	if st, err := b.Get(t.Context(), rec.Name); err != nil || !strings.Contains(strings.Join(st.Problems, ""), "went down") {
		t.Errorf("%+v, %v", st.Problems, err)
	}
	b.stop(rec)
	_, err := b.Run(t.Context(), v, RunOptions{Attach: lwt(t, "on_xmit", "10.1.0.0/24,dev="+dev)})
	wantError(t, err, ErrNoTarget, "is down", "ip link set")
}

func TestLWTRefuses(t *testing.T) {
	b := newBench(t)
	for _, tc := range []struct{ program, target, word string }{
		{"on_xmit", "10.1.0.0/24", "needs the interface"},
		{"on_xmit", "10.1.0.5/24,dev=" + dev, "the prefix is 10.1.0.0/24"},
		{"on_xmit", "10.1/24,dev=" + dev, "is no prefix"},
		{"on_xmit", "::ffff:10.1.0.0/120,dev=" + dev, "written as an IPv6 one"},
		{"on_xmit", "fe80::1%lo,dev=" + dev, "zone"},
		{"on_xmit", "10.1.0.0/24,direction=in,dev=" + dev, "lwt_in"},
		{"on_xmit", "10.1.0.0/24,direction=sideways,dev=" + dev, "can be in, out, xmit, seg6local"},
		{"on_xmit", "10.1.0.0/24,via=2001:db8::1,dev=" + dev, "same family"},
		{"on_xmit", "10.1.0.0/24,via=x,dev=" + dev, "same family"},
		{"on_xmit", "10.1.0.0/24,table=0,dev=" + dev, "from 1 to 4294967295"},
		{"on_xmit", "10.1.0.0/24,metric=4294967296,dev=" + dev, "from 0 to 4294967295"},
		{"on_xmit", "2001:db8::/64,metric=0,dev=" + dev, "from 1 to 4294967295"},
		{"on_xmit", "10.1.0.0/24,headroom=257,dev=" + dev, "from 0 to 256"},
		{"on_in", "10.1.0.0/24,headroom=2,dev=" + dev, "direction=xmit only"},
		{"on_segment", "10.1.0.0/24,dev=" + dev, "not IPv6"},
	} {
		_, err := b.Run(t.Context(), verified(t, "x", objLWT), RunOptions{Attach: lwt(t, tc.program, tc.target)})
		wantError(t, err, ErrUsage, tc.word)
	}
	_, err := b.Run(t.Context(), verified(t, "x", objLWT), RunOptions{Attach: lwt(t, "on_xmit", "10.1.0.0/24,dev=eth77")})
	wantError(t, err, ErrNoTarget, `no interface "eth77"`)
	_, err = b.Run(t.Context(), verified(t, "x", objLWT), RunOptions{Attach: lwt(t, "on_xmit", "10.1.0.0/24,via=198.51.100.1,dev="+dev)})
	wantError(t, err, nil, "gateway 198.51.100.1 cannot be reached")
}

// FuzzRoute: whatever is typed gives an error, or a route that `ip route` could
// have made.
func FuzzRoute(f *testing.F) {
	f.Add("10.1.0.0/24", "10.0.0.1", "254", "0")
	f.Add("2001:db8::1", "fe80::1%eth0", "0x10", "1024")
	f.Add("::ffff:10.0.0.0/104", "", "-1", "")
	f.Fuzz(func(t *testing.T, prefix, via, table, metric string) {
		r, err := parseRoute(schemas.InstanceLink{Target: prefix, Options: map[string]string{"via": via, "table": table, "metric": metric}})
		if err != nil {
			return
		}
		route := r.netlink()
		again, err := netip.ParsePrefix(route.Dst.String())
		if err != nil || again != r.prefix || r.table == 0 || (route.Gw != nil && (route.Gw.To4() == nil) != r.prefix.Addr().Is6()) {
			t.Errorf("%q via %q table %q metric %q is route %v", prefix, via, table, metric, route)
		}
	})
}
