// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
	"github.com/bpfimg/bpfimg/schemas"
)

// Objects of the tests of XDP programs that share an interface.
const (
	objChain = "testdata/xdp_chain.bpf.o"
	objTail  = "testdata/xdp_tail.bpf.o"
)

// needDispatcher skips where XDP programs cannot share an interface.
func needDispatcher(t *testing.T) {
	t.Helper()
	needRoot(t)
	if err := dispatcher.Supported(); err != nil {
		t.Skipf("SKIP-REASON: needs a kernel that takes freplace programs; the virtual machines have one: %v", err)
	}
}

// chainOf lists what runs on an interface, in order, as NAME/PRIORITY/ACTIONS.
func chainOf(t *testing.T, iface string) []string {
	t.Helper()
	state, err := dispatcher.Read(t.Context(), netlinkByName(t, iface).Attrs().Index)
	if err != nil {
		t.Fatal(err)
	}
	if state.Chain == nil {
		return nil
	}
	var list []string
	for _, p := range state.Chain.Programs {
		list = append(list, fmt.Sprintf("%s/%d/%s", p.Name, p.Priority, p.ProceedOn))
	}
	return list
}

func wantChain(t *testing.T, want ...string) {
	t.Helper()
	if got := chainOf(t, dev); !slices.Equal(got, want) {
		t.Errorf("on %s run %q, want %q", dev, got, want)
	}
}

// only attaches one program of objChain.
func only(t *testing.T, program, where string) []schemas.Attachment {
	t.Helper()
	list := []string{program + "=" + where}
	for _, other := range []string{"early", "late", "plain", "garbled"} {
		if other != program {
			list = append(list, other+"=none")
		}
	}
	return attachments(t, list...)
}

// TestXDPChain has four instances share an interface, by what their objects and
// the person say, and go in another order than they came.
func TestXDPChain(t *testing.T) {
	needDispatcher(t)
	b := newBench(t)
	v := verified(t, "x", objChain)
	late := b.start(v, RunOptions{Name: "late", Attach: only(t, "late", "xdp:"+dev)})
	if l := late.Links[0]; l.Via != viaDispatcher || l.ID != 0 || l.Pin != "" || len(l.Notices) != 0 ||
		spell(l) != "xdp:"+dev+",mode=native,priority=200,proceed-on=never" {
		t.Errorf("link: %+v", l)
	}
	plain := b.start(v, RunOptions{Name: "plain", Attach: only(t, "plain", "xdp:"+dev)})
	early := b.start(v, RunOptions{Name: "early", Attach: only(t, "early", "xdp:"+dev)})
	garbled := b.start(v, RunOptions{Name: "garbled", Attach: only(t, "garbled", "xdp:"+dev+",priority=60,proceed-on=pass,tx")})
	wantChain(t, "early/10/drop,pass", "plain/50/pass", "garbled/60/pass,tx", "late/200/")

	send(t, peer, 3)
	for i, name := range []string{"early", "late", "plain", "garbled"} {
		b.wantCount(name, "seen", i, 3)
	}
	for _, rec := range []schemas.Instance{plain, early, late, garbled} {
		b.stopComponent(rec)
	}
	wantChain(t)
	b.checkBare("all")
	noDispatcherPins(t)
}

// stopComponent stops one instance of several on the interface.
func (b *bench) stopComponent(rec schemas.Instance) {
	b.t.Helper()
	if err := b.Stop(b.t.Context(), rec.Name); err != nil {
		b.t.Fatal(err)
	}
	for _, p := range rec.Programs {
		if len(waitGone(b.t.Context(), patience, []uint32{p.ID}, lookForProgram)) > 0 {
			b.t.Errorf("program %q (id %d) is left", p.Name, p.ID)
		}
	}
	for name, st := range b.problemsOfAll() {
		b.t.Errorf("instance %q: %q", name, st)
	}
}

// problemsOfAll are those of the instances that have any.
func (b *bench) problemsOfAll() map[string][]string {
	b.t.Helper()
	all, err := b.List(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[string][]string{}
	for _, st := range all {
		if len(st.Problems) > 0 {
			out[st.Name] = st.Problems
		}
	}
	return out
}

// noDispatcherPins checks that libxdp's folder has nothing left for interfaces of
// the test's network namespace, of which there are only those of the test.
func noDispatcherPins(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir("/sys/fs/bpf/xdp")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		var ifindex, id int
		if n, _ := fmt.Sscanf(e.Name(), "dispatch-%d-%d", &ifindex, &id); n != 2 {
			continue
		}
		if _, err := netlink.LinkByIndex(ifindex); err == nil {
			t.Errorf("%s is left", e.Name())
		}
	}
}

// TestXDPChainAlone is about programs that have an interface for themselves, and
// others that want to share it.
func TestXDPChainAlone(t *testing.T) {
	needDispatcher(t)
	b := newBench(t)
	v := verified(t, "x", objPass)
	alone := b.start(v, RunOptions{Name: "alone", Attach: attachments(t, "pass=xdp:"+dev+",via=link,priority=7")})
	if l := alone.Links[0]; l.Via != viaLink || spell(l) != "xdp:"+dev+",mode=native,via=link" {
		t.Errorf("link: %+v", l)
	}
	_, err := b.Run(t.Context(), v, RunOptions{Name: "second", Attach: attachments(t, "pass=xdp:"+dev)})
	wantError(t, err, unix.EBUSY, `instance "alone"`, "`bpfimg stop alone` and run it again")
	b.stop(alone)

	shared := b.start(v, RunOptions{Name: "shared", Attach: attachments(t, "pass=xdp:"+dev)})
	_, err = b.Run(t.Context(), v, RunOptions{Name: "second", Attach: attachments(t, "pass=xdp:"+dev+",via=link")})
	wantError(t, err, unix.EBUSY, `chain of 1 programs ("pass")`)
	_, err = b.Run(t.Context(), v, RunOptions{Name: "second", Foreground: true, Attach: attachments(t, "pass=xdp:"+dev)})
	wantError(t, err, unix.EBUSY, `chain of 1 programs ("pass")`)
	_, err = b.Run(t.Context(), v, RunOptions{Name: "second", Attach: attachments(t, "pass=xdp:"+dev+",mode=generic")})
	wantError(t, err, unix.EBUSY, "native mode, all of them")
	b.stop(shared)

	_, err = b.Run(t.Context(), v, RunOptions{Foreground: true, Attach: attachments(t, "pass=xdp:"+dev+",via=dispatcher")})
	wantError(t, err, ErrUsage, "--foreground")
	noDispatcherPins(t)
}

// TestXDPChainFull is about the eleventh program.
func TestXDPChainFull(t *testing.T) {
	needDispatcher(t)
	b := newBench(t)
	v := verified(t, "x", objPass)
	var all []schemas.Instance
	for i := range dispatcher.Slots {
		all = append(all, b.start(v, RunOptions{Name: fmt.Sprintf("n%d", i), Attach: attachments(t, fmt.Sprintf("pass=xdp:%s,priority=%d", dev, 100-i))}))
	}
	_, err := b.Run(t.Context(), v, RunOptions{Name: "more", Attach: attachments(t, "pass=xdp:"+dev)})
	wantError(t, err, dispatcher.ErrFull, "10 programs")
	for _, rec := range all {
		b.stopComponent(rec)
	}
	b.checkBare("all")
	noDispatcherPins(t)
}

// TestXDPChainTailCalls has a component go on in another program.
func TestXDPChainTailCalls(t *testing.T) {
	needDispatcher(t)
	b := newBench(t)
	rec := b.start(verified(t, "x", objTail), RunOptions{Attach: attachments(t, "entry=xdp:"+dev)})
	// Linux 5.10 does not take the program for its array's as a component.
	if l := rec.Links[0]; l.Via != viaDispatcher && (kernelAtLeast(6, 1) || len(l.Notices) != 1) {
		t.Errorf("link: %+v", l)
	}
	send(t, peer, 3)
	b.wantCount(rec.Name, "seen", 0, 3)
	b.wantCount(rec.Name, "seen", 1, 3)
	b.stop(rec)
	_, err := b.Run(t.Context(), verified(t, "x", objTail), RunOptions{Attach: attachments(t, "entry=none", "rest=xdp:"+dev+",via=dispatcher")})
	wantError(t, err, nil, "program array")
	noDispatcherPins(t)
}

// TestXDPChainTaken has somebody else take a program out of the chain.
func TestXDPChainTaken(t *testing.T) {
	needDispatcher(t)
	b := newBench(t)
	rec := b.start(verified(t, "x", objPass), RunOptions{Attach: attachments(t, "pass=xdp:"+dev)})
	if err := b.removeComponent(t.Context(), netlinkByName(t, dev).Attrs().Index, rec.Programs[0].ID); err != nil {
		t.Fatal(err)
	}
	if p := b.problemsOfAll()[rec.Name]; len(p) != 1 || !strings.Contains(p[0], "not among the XDP programs") {
		t.Errorf("problems %q", p)
	}
	b.stop(rec)
	noDispatcherPins(t)
}

// foreignXDP has a program of nobody we know in the slot, without a dispatcher.
func foreignXDP(t *testing.T, held bool) {
	t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, Name: "stranger", License: "GPL", Instructions: passAll()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	l := netlinkByName(t, dev)
	if !held {
		if err := netlink.LinkSetXdpFd(l, prog.FD()); err != nil {
			t.Fatal(err)
		}
		return
	}
	by, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: l.Attrs().Index})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { by.Close() })
}

// TestXDPReplace is about a program of others without a dispatcher.
func TestXDPReplace(t *testing.T) {
	needDispatcher(t)
	for _, tc := range []struct {
		name, options string
		held          bool
		want          []string // nil when it is replaced
	}{
		{"left alone", "", false, []string{`program "stranger"`, "replace=true puts it away"}},
		{"left alone explicitly", ",replace=false", false, []string{"replace=true puts it away"}},
		{"alone", ",replace=true,via=link", false, []string{"goes with via=dispatcher"}},
		{"held by a link", ",replace=true", true, []string{"only its owner can take away"}},
		{"replaced", ",replace=true", false, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			foreignXDP(t, tc.held)
			before := netlinkByName(t, dev).Attrs().Xdp.ProgId
			r, err := b.Run(t.Context(), verified(t, "x", objPass), RunOptions{Attach: attachments(t, "pass=xdp:"+dev+tc.options)})
			if tc.want != nil {
				wantError(t, err, unix.EBUSY, tc.want...)
				if id := netlinkByName(t, dev).Attrs().Xdp.ProgId; id != before {
					t.Errorf("program %d is in the place of %d", id, before)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			wantChain(t, "pass/50/pass")
			if n := r.Instance.Links[0].Notices; len(n) != 1 || !strings.Contains(n[0], `"stranger"`) {
				t.Errorf("notices %q", n)
			}
			b.stop(r.Instance)
			noDispatcherPins(t)
		})
	}
}

// changeOf is what became of one program's attachment.
func changeOf(done *Updated, program string) AttachmentChange {
	for _, c := range done.Attachments {
		if c.Program == program {
			return c
		}
	}
	return AttachmentChange{}
}

// TestXDPChainUpdate exchanges a component: its neighbours and its place stay.
func TestXDPChainUpdate(t *testing.T) {
	needDispatcher(t)
	b := newBench(t)
	neighbour := b.start(verified(t, "x", objChain), RunOptions{Name: "late", Attach: only(t, "late", "xdp:"+dev)})
	old := b.start(updateImage(t, 1), RunOptions{Name: "fault", Attach: attachments(t,
		"xdp_see=xdp:"+dev+",priority=7", "tc_see=none", "cgroup_see=none")})
	wantChain(t, "xdp_see/7/pass", "late/200/")
	done, err := b.Update(t.Context(), "fault", updateImage(t, 2), UpdateOptions{Attach: attachments(t, "raw_new=none")})
	if err != nil {
		t.Fatal(err)
	}
	if c := changeOf(done, "xdp_see"); c.Change != ChangeSwapped || done.Instance.Programs[0].ID == old.Programs[0].ID {
		t.Errorf("change: %+v", c)
	}
	wantChain(t, "xdp_see/7/pass", "late/200/")

	// Another place is another attachment: both see packets for a moment.
	done, err = b.Update(t.Context(), "fault", updateImage(t, 1), UpdateOptions{
		AllowDowngrade: true,
		Attach:         attachments(t, "xdp_see=xdp:"+dev+",priority=201"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if c := changeOf(done, "xdp_see"); c.Change != ChangeReattached {
		t.Errorf("change: %+v", c)
	}
	wantChain(t, "late/200/", "xdp_see/201/pass")
	b.stopComponent(done.Instance)
	b.stop(neighbour)
	noDispatcherPins(t)
}
