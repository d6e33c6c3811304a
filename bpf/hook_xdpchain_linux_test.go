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
		if len(waitGone(b.t.Context(), patience, []uint32{p.ID}, openProgram)) > 0 {
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

// noDispatcherPins checks that libxdp's folder has nothing left for anybody.
func noDispatcherPins(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir("/sys/fs/bpf/xdp")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "dispatch-") {
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
	t.Logf("tail calls: %+v", rec.Links[0])
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
