// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	kit     = "bpfimg2" // the primary end of a netkit pair
	kitPeer = "bpfimg3"
)

// netkitPair makes one whose ends have addresses, and sends a packet from each to
// the other's network.
func netkitPair(t *testing.T) {
	t.Helper()
	pair := &netlink.Netkit{LinkAttrs: netlink.LinkAttrs{Name: kit}, Mode: netlink.NETKIT_MODE_L3, Policy: netlink.NETKIT_POLICY_FORWARD, PeerPolicy: netlink.NETKIT_POLICY_FORWARD}
	other := netlink.NewLinkAttrs()
	other.Name = kitPeer
	pair.SetPeerAttrs(&other)
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{kit, kitPeer} {
		sysctl(t, "ipv6/conf/"+name+"/disable_ipv6", "1")
		if err := netlink.LinkSetUp(netlinkByName(t, name)); err != nil {
			t.Fatal(err)
		}
		address(t, name, "192.0.2."+itoa(i*64+1)+"/26")
	}
}

// TestNetkit sends one packet from one end and two from the other.
func TestNetkit(t *testing.T) {
	b := newBench(t)
	b.needHook("netkit", objNetkit, "on_primary=netkit:"+dev, "on_peer=none")
	netkitPair(t)
	rec := b.start(verified(t, "x", objNetkit), RunOptions{Attach: attachments(t, "on_primary=netkit:"+kit, "on_peer=netkit:"+kit)})
	for last, n := range map[byte]int{9: 1, 73: 2} {
		for range n {
			if err := say(t, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{192, 0, 2, last}}, 1); err != nil {
				t.Error(err)
			}
		}
	}
	b.wantCount(rec.Name, "packets", 0, 1)
	b.wantCount(rec.Name, "packets", 1, 2)
	if err := netlink.LinkDel(netlinkByName(t, kit)); err != nil {
		t.Fatal(err)
	}
	if st, err := b.Get(t.Context(), rec.Name); err != nil || strings.Count(strings.Join(st.Problems, "\n"), "attached to nothing any more") != 2 {
		t.Errorf("%q, %v", st.Problems, err)
	}
	b.stop(rec)
}

func TestNetkitRefuses(t *testing.T) {
	b := newBench(t)
	b.needHook("netkit", objNetkit, "on_primary=netkit:"+dev, "on_peer=none")
	netkitPair(t)
	for _, tc := range []struct{ object, attach, other, word string }{
		{objNetkit, "on_primary=netkit:" + dev, "on_peer=none", `kind "veth"`},
		{objNetkit, "on_primary=netkit:" + kitPeer, "on_peer=none", "is the peer"},
		{objNetkit, "on_peer=netkit:" + kitPeer, "on_primary=none", "is the peer"},
		{objNetkit, "on_peer=netkit:" + kit + ",direction=ingress", "on_primary=none", "can be primary, peer"},
		{objTC, "tc_ingress=netkit:" + kit, "tc_egress=none", "needs an end"},
	} {
		_, err := b.Run(t.Context(), verified(t, "x", tc.object), RunOptions{Attach: attachments(t, tc.attach, tc.other)})
		wantError(t, err, ErrUsage, tc.word)
	}
	// A tc program is of the same type.
	b.stop(b.start(verified(t, "x", objTC), RunOptions{Attach: attachments(t, "tc_ingress=netkit:"+kit+",direction=primary", "tc_egress=none")}))
}
