// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// xdpProgram is one that lets every packet pass, and its record.
func xdpProgram(t *testing.T) (*ebpf.Program, schemas.InstanceProgram) {
	t.Helper()
	prog := must[*ebpf.Program](t)(ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, AttachType: ebpf.AttachXDP, License: "MIT", Instructions: passAll()}))
	t.Cleanup(func() { prog.Close() })
	return prog, schemas.InstanceProgram{Name: "p", ID: uint32(must[ebpf.ProgramID](t)(idOf(prog)))}
}

// TestExchangeLink: the program in a pinned link is exchanged for another one, and
// only if it is the one that should be there and the link still holds on to
// something.
func TestExchangeLink(t *testing.T) {
	b := newBench(t)
	if err := ensureBPFFS(b.opts.BPFFS); err != nil {
		t.Fatal(err)
	}
	old, oldRec := xdpProgram(t)
	next, nextRec := xdpProgram(t)
	theirs, _ := xdpProgram(t)
	held := must[link.Link](t)(link.AttachXDP(link.XDPOptions{Program: old, Interface: netlinkByName(t, dev).Attrs().Index, Flags: link.XDPGenericMode}))
	defer held.Close()
	l := schemas.InstanceLink{Program: "p", Hook: "xdp", Target: dev, Via: viaLink, Pin: filepath.Join(b.opts.BPFFS, "held")}
	if err := held.Pin(l.Pin); err != nil {
		t.Fatal(err)
	}
	defer held.Unpin()
	pl := &placement{link: l, spec: &ebpf.ProgramSpec{AttachType: ebpf.AttachXDP}}

	if ok, err := exchangeable(l, oldRec, pl); !ok || err != nil {
		t.Errorf("its program is not exchangeable: %v", err)
	}
	_, err := exchangeable(l, nextRec, pl)
	wantError(t, err, errForeign)
	wantError(t, exchangeLink(l, theirs, next), errForeign)
	b.holdsNow(held, oldRec)
	for range 2 { // the second time there is nothing to do
		if err := exchangeLink(l, old, next); err != nil {
			t.Fatal(err)
		}
		b.holdsNow(held, nextRec)
	}
	if err := netlink.LinkDel(netlinkByName(t, dev)); err != nil {
		t.Fatal(err)
	}
	wantError(t, exchangeLink(l, next, old), unix.ENOLINK)
	if ok, err := exchangeable(l, nextRec, pl); ok || err != nil {
		t.Errorf("exchangeable without an interface: %v, %v", ok, err)
	}
}

// holdsNow checks which program a link runs.
func (b *bench) holdsNow(l link.Link, want schemas.InstanceProgram) {
	b.t.Helper()
	if info := must[*link.Info](b.t)(l.Info()); uint32(info.Program) != want.ID {
		b.t.Errorf("the link runs program %d, want %d", info.Program, want.ID)
	}
}
