// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

func itoa(n int) string { return strconv.Itoa(n) }

// one runs the ingress program through clsact.
func (b *bench) clsact(name, options string) schemas.Instance {
	b.t.Helper()
	return b.start(verified(b.t, "x", objTC), RunOptions{
		Name: name, Attach: attachments(b.t, "tc_egress=none", "tc_ingress=tc:"+dev+",via=clsact"+options),
	})
}

func filters(t *testing.T) []netlink.Filter {
	t.Helper()
	list, err := netlink.FilterList(netlinkByName(t, dev), netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestClsactPriority(t *testing.T) {
	b := newBench(t)
	rec := b.clsact("x", ",priority=50,handle=0x7")
	if o := rec.Links[0].Options; o["priority"] != "50" || o["handle"] != "7" || o["direction"] != "ingress" {
		t.Errorf("options in effect: %v", o)
	}
	f := filters(t)
	if len(f) != 1 || f[0].Attrs().Priority != 50 || f[0].Attrs().Handle != 7 || !f[0].(*netlink.BpfFilter).DirectAction {
		t.Errorf("filters: %v", f)
	}
	_, err := b.Run(t.Context(), verified(t, "y", objTC), RunOptions{Attach: attachments(t, "tc_egress=none", "tc_ingress=tc:"+dev+",priority=50,handle=7")})
	wantError(t, err, nil, "priority 50", "in use by another filter")
	if left := filters(t); len(left) != 1 {
		t.Errorf("filters after a refused run: %v", left)
	}
	b.stop(rec)
}

// TestClsactShared is about two instances in one qdisc: the last one removes it.
func TestClsactShared(t *testing.T) {
	b := newBench(t)
	first, second := b.clsact("first", ""), b.clsact("second", "")
	if !first.Links[0].CreatedQdisc || second.Links[0].CreatedQdisc {
		t.Errorf("qdisc made by %v, %v", first.Links[0].CreatedQdisc, second.Links[0].CreatedQdisc)
	}
	if err := b.Stop(t.Context(), "first"); err != nil {
		t.Fatal(err)
	}
	if f := filters(t); len(f) != 1 || f[0].(*netlink.BpfFilter).Id != int(second.Programs[1].ID) {
		t.Errorf("filters: %v", f)
	}
	b.stop(second)
}

// TestClsactForeign is about a filter and a qdisc of somebody else: they stay.
func TestClsactForeign(t *testing.T) {
	b := newBench(t)
	rec := b.clsact("ours", "")
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "MIT", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R0, 0), asm.Return(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	theirs := &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{
		LinkIndex: netlinkByName(t, dev).Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS, Priority: 3, Handle: 1, Protocol: unix.ETH_P_ALL,
	}, Fd: prog.FD(), Name: "theirs", DirectAction: true}
	if err := netlink.FilterAdd(theirs); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context(), rec.Name); err != nil {
		t.Fatal(err)
	}
	if f := filters(t); len(f) != 1 || f[0].Attrs().Priority != 3 {
		t.Errorf("filters: %v", f)
	}
	// A qdisc that was there before is not ours to remove.
	rec = b.clsact("ours", "")
	if err := netlink.FilterDel(theirs); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context(), rec.Name); err != nil {
		t.Fatal(err)
	}
	if kind, err := ingressQdisc(uint32(netlinkByName(t, dev).Attrs().Index)); err != nil || kind != "clsact" {
		t.Errorf("the qdisc of somebody else is %q now (%v)", kind, err)
	}
}

func TestTCRefuses(t *testing.T) {
	b := newBench(t)
	for options, words := range map[string][]string{
		"via=tcx,handle=5": {"tcx has no handle"},
		"priority=0":       {"priority", "1 to 65535"},
		"priority=70000":   {"priority", "1 to 65535"},
		"handle=x":         {"handle", "1 to 4294967295"},
	} {
		_, err := b.Run(t.Context(), verified(t, "y", objTC), RunOptions{Attach: attachments(t, "tc_egress=none", "tc_ingress=tc:"+dev+","+options)})
		wantError(t, err, ErrUsage, words...)
	}
}
