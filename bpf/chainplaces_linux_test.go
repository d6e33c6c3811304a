// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestChainNetkit draws both ends of a pair: the programs are listed at the primary
// one, and what the peer sends arrives there.
func TestChainNetkit(t *testing.T) {
	b := newBench(t)
	if err := (netkitHook{}).probe(); err != nil {
		t.Skipf("SKIP-REASON: needs a kernel that has hook netkit: %v", err)
	}
	netkitPair(t)
	for name, attach := range map[string]ebpf.AttachType{"from_peer": ebpf.AttachNetkitPeer, "from_primary": ebpf.AttachNetkitPrimary} {
		l, err := link.AttachNetkit(link.NetkitOptions{
			Interface: netlinkByName(t, kit).Attrs().Index, Attach: attach,
			Program: foreignProgram(t, ebpf.ProgramSpec{Type: ebpf.SchedCLS, Name: name}),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	primary := b.chain(kit).Interfaces[0]
	if got := drawn(primary); got != "netkit-peer  from_peer - next\nnetkit-primary  from_primary - next" || len(primary.Notices) != 0 {
		t.Errorf("primary: %s, %q", got, primary.Notices)
	}
	end := b.chain(kitPeer).Interfaces[0]
	if !end.empty() || !strings.Contains(strings.Join(end.Notices, ""), "primary end") {
		t.Errorf("peer: %+v", end)
	}
	if all := b.chain(""); len(all.Interfaces) != 1 {
		t.Errorf("all: %+v", all.Interfaces)
	}
}

// TestChainAction finds programs in the actions of a filter.
func TestChainAction(t *testing.T) {
	b := newBench(t)
	if err := (actionHook{}).probe(); err != nil {
		t.Skipf("SKIP-REASON: needs a kernel that has hook action: %v", err)
	}
	prog := foreignProgram(t, ebpf.ProgramSpec{Type: ebpf.SchedACT, Name: "acts"})
	attrs := netlink.FilterAttrs{
		LinkIndex: netlinkByName(t, dev).Attrs().Index, Parent: netlink.HANDLE_MIN_EGRESS, Priority: 4, Handle: 1, Protocol: unix.ETH_P_ALL,
	}
	filter := actionHook{}.filter(attrs, prog, schemas.InstanceProgram{Name: "acts"})
	if err := errors.Join(netlink.QdiscAdd(clsact(uint32(attrs.LinkIndex))), netlink.FilterAdd(filter)); err != nil {
		t.Fatal(err)
	}
	c := b.chain(dev).Interfaces[0]
	if got := drawn(c); got != "clsact-egress  acts 4 unspec" {
		t.Fatalf("drawn: %s", got)
	}
	if p := c.Egress[0].Programs[0]; p.ID == 0 || p.Filter.Kind != "matchall" || p.Filter.Action != 1 || p.Type != "sched_act" {
		t.Errorf("%+v %+v", p, p.Filter)
	}
}
