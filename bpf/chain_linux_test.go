// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// foreignProgram is one that bpfimg did not load.
func foreignProgram(t *testing.T, spec ebpf.ProgramSpec) *ebpf.Program {
	t.Helper()
	prog, err := tinyProgram(&spec, -1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { prog.Close() })
	return prog
}

// foreignTCX attaches one.
func foreignTCX(t *testing.T, prog *ebpf.Program) link.Link {
	t.Helper()
	l, err := link.AttachTCX(link.TCXOptions{
		Interface: netlinkByName(t, dev).Attrs().Index, Program: prog, Attach: ebpf.AttachTCXIngress,
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// foreignFilter is a filter of somebody else.
func foreignFilter(t *testing.T, prog *ebpf.Program, priority uint16) *netlink.BpfFilter {
	t.Helper()
	return &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{
		LinkIndex: netlinkByName(t, dev).Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS,
		Priority: priority, Handle: 1, Protocol: unix.ETH_P_ALL,
	}, Fd: prog.FD(), Name: "theirs\x1b[2J", DirectAction: true}
}

// drawn is a chain in short: a line for each program.
func drawn(c Chain) string {
	var lines []string
	c.stages(func(s *ChainStage) {
		for _, p := range s.Programs {
			priority := "-"
			if p.Priority != nil {
				priority = fmt.Sprint(*p.Priority)
			}
			lines = append(lines, strings.Join([]string{s.Stage, p.Instance, p.Name, priority, p.Next}, " "))
		}
	})
	return strings.Join(lines, "\n")
}

func (b *bench) chain(iface string) Chains {
	b.t.Helper()
	c, err := b.Chain(b.t.Context(), ChainOptions{Interface: iface})
	if err != nil {
		b.t.Fatal(err)
	}
	return c
}

// TestChain puts programs of bpfimg and of others on all stages of an interface.
func TestChain(t *testing.T) {
	b := newBench(t)
	needTCX(t)
	if c := b.chain(dev); len(c.Interfaces) != 1 || !c.Interfaces[0].empty() || c.Netns == 0 {
		t.Errorf("a bare interface: %+v", c)
	}
	theirs := foreignProgram(t, ebpf.ProgramSpec{Type: ebpf.SchedCLS, Name: "theirs"})
	defer foreignTCX(t, theirs).Close()
	ours := b.start(verified(t, "ours", objTC), RunOptions{Attach: attachments(t, "tc_ingress=tc:"+dev, "tc_egress=tc:"+dev+",via=clsact,priority=9")})
	last := foreignTCX(t, foreignProgram(t, ebpf.ProgramSpec{Type: ebpf.SchedCLS, Name: "fourteen_chars"}))
	defer last.Close()
	for _, priority := range []uint16{8, 5} {
		if err := netlink.FilterAdd(foreignFilter(t, theirs, priority)); err != nil {
			t.Fatal(err)
		}
	}
	xdp := b.start(verified(t, "xdp", objPass), RunOptions{Attach: attachments(t, "pass=xdp:"+dev+",mode=generic")})

	c := b.chain(dev)
	want := strings.Join([]string{
		"xdp-generic xdp pass - pass",
		"tcx-ingress  theirs - next",
		"tcx-ingress ours tc_ingress 50 next",
		"tcx-ingress  fourteen_chars - next",
		"clsact-ingress  theirs 5 unspec",
		"clsact-ingress  theirs 8 unspec",
		"clsact-egress ours tc_egress 9 unspec",
	}, "\n")
	if got := drawn(c.Interfaces[0]); got != want {
		t.Errorf("drawn:\n%s\nwant:\n%s", got, want)
	}
	if all := b.chain(""); !reflect.DeepEqual(all.Interfaces, c.Interfaces) {
		t.Errorf("all: %+v\none: %+v", all.Interfaces, c.Interfaces)
	}
	if err := b.Stop(t.Context(), xdp.Name); err != nil {
		t.Fatal(err)
	}
	if err := netlink.QdiscDel(clsact(uint32(c.Interfaces[0].Ifindex))); err != nil {
		t.Fatal(err)
	}
	if got := drawn(b.chain(dev).Interfaces[0]); strings.Contains(got, "xdp") || strings.Contains(got, "clsact") {
		t.Errorf("after all of that: %s", got)
	}
	if err := b.Stop(t.Context(), ours.Name); err != nil {
		t.Fatal(err)
	}
}

// TestChainPins finds where others have pinned a program, or the link that holds
// it.
func TestChainPins(t *testing.T) {
	b := newBench(t)
	needTCX(t)
	if err := ensureBPFFS(customaryBPFFS); err != nil {
		t.Fatal(err)
	}
	for name, pin := range map[string]func(p *ebpf.Program, l link.Link, path string) error{
		"program": func(p *ebpf.Program, _ link.Link, path string) error { return p.Pin(path) },
		"link":    func(_ *ebpf.Program, l link.Link, path string) error { return l.Pin(path) },
	} {
		prog := foreignProgram(t, ebpf.ProgramSpec{Type: ebpf.SchedCLS, Name: "theirs"})
		l := foreignTCX(t, prog)
		path := fmt.Sprintf("%s/bpfimg-test-pin-%d-%s", customaryBPFFS, unix.Gettid(), name)
		if err := pin(prog, l, path); err != nil {
			t.Fatal(err)
		}
		p := b.chain(dev).Interfaces[0].Ingress[0].Programs[0]
		if p.Pin != path || p.LinkID == 0 {
			t.Errorf("%s: %+v", name, p)
		}
		if err := errors.Join(prog.Unpin(), l.Unpin(), l.Detach(), l.Close(), unix.Unlink(path)); err != nil && !errors.Is(err, unix.ENOENT) {
			t.Fatal(err)
		}
	}
}

// TestChainQdiscIngress is about the qdisc that has one side only, and answers for
// the other one with it too.
func TestChainQdiscIngress(t *testing.T) {
	b := newBench(t)
	dev := netlinkByName(t, dev)
	qdisc := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: dev.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS,
	}}
	if err := netlink.QdiscAdd(qdisc); err != nil {
		t.Fatal(err)
	}
	if err := netlink.FilterAdd(foreignFilter(t, foreignProgram(t, ebpf.ProgramSpec{Type: ebpf.SchedCLS, Name: "theirs"}), 5)); err != nil {
		t.Fatal(err)
	}
	if got := drawn(b.chain(dev.Attrs().Name).Interfaces[0]); got != "clsact-ingress  theirs 5 unspec" {
		t.Errorf("drawn: %s", got)
	}
}

// TestChainNetfilter sorts by the way of a packet and by priority, and leaves out
// what is ours in another network namespace.
func TestChainNetfilter(t *testing.T) {
	b := newBench(t)
	b.needHook("netfilter", objNetfilter, atOutput)
	loopbackOn(t)
	far := newFarNetns(t)
	for i, where := range []string{
		"family=ipv4,hook=output,priority=20", "family=ipv4,hook=output,priority=-20", "family=ipv6,hook=prerouting,priority=1",
		"family=ipv4,hook=output,priority=5,netns=" + far.path,
	} {
		b.start(verified(t, fmt.Sprintf("nf%d", i), objNetfilter), RunOptions{Attach: attachments(t, "drop=netfilter,"+where)})
	}
	defer b.StopAll(context.WithoutCancel(t.Context()))
	stages := func(c Chains) string {
		var own Chain
		for _, s := range c.Netfilter {
			s.Stage += "/" + s.Family
			own.Ingress = append(own.Ingress, s)
		}
		var lines []string // without those of who else is at work on this machine
		for line := range strings.Lines(drawn(own) + "\n") {
			if strings.Contains(line, " nf") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		return strings.Join(lines, "\n")
	}
	want := "netfilter-prerouting/ipv6 nf2 drop 1 accept\nnetfilter-output/ipv4 nf1 drop -20 accept\nnetfilter-output/ipv4 nf0 drop 20 accept"
	if got := stages(b.chain(dev)); got != want {
		t.Errorf("here:\n%s\nwant:\n%s", got, want)
	}
	there, err := b.Chain(t.Context(), ChainOptions{Interface: peer, Netns: far.path})
	if got := stages(there); err != nil || got != "netfilter-output/ipv4 nf3 drop 5 accept" {
		t.Errorf("there: %s, %v", got, err)
	}
}

// TestChainNetns reads another network namespace.
func TestChainNetns(t *testing.T) {
	b := newBench(t)
	far := newFarNetns(t)
	rec := b.start(verified(t, "x", objCounter), RunOptions{Attach: attachments(t, "xdp_count=xdp:"+peer+",netns="+far.path)})
	for _, netns := range []string{far.path, fmt.Sprintf("pid:%d", far.pid)} {
		for _, name := range []string{peer, ""} {
			c, err := b.Chain(t.Context(), ChainOptions{Interface: name, Netns: netns})
			if err != nil || len(c.Interfaces) != 1 || c.Netns != rec.Links[0].Netns {
				t.Fatalf("%s %q: %+v, %v", netns, name, c, err)
			}
			if got := drawn(c.Interfaces[0]); got != "xdp-native x xdp_count - pass" {
				t.Errorf("drawn: %s", got)
			}
		}
	}
	if c := b.chain(""); len(c.Interfaces) != 0 {
		t.Errorf("here: %+v", c)
	}
	_, err := b.Chain(t.Context(), ChainOptions{Interface: peer})
	wantError(t, err, ErrNoTarget, peer, "in this network namespace")
	_, err = b.Chain(t.Context(), ChainOptions{Netns: "blue"})
	wantError(t, err, ErrSetting, "blue", "absolute path")
	_, err = b.Chain(t.Context(), ChainOptions{Netns: "/run/netns/no-such-namespace"})
	wantError(t, err, ErrNoTarget, "no-such-namespace")
	b.stop(rec)
}

// TestChainMeasure counts for a while.
func TestChainMeasure(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "x", objCounter), RunOptions{Attach: attachments(t, "xdp_count=xdp:"+dev)})
	netns := fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid())
	stop, sent := make(chan struct{}), make(chan error, 1)
	go func() {
		sent <- inNetns(netns, func() error {
			for {
				select {
				case <-stop:
					return nil
				default:
					send(t, peer, 1)
				}
			}
		})
	}()
	await(t, "a packet that is counted", func() bool {
		c, err := b.Chain(t.Context(), ChainOptions{Interface: dev, Measure: 10 * time.Millisecond})
		if err != nil || !c.Counting {
			t.Errorf("%+v, %v", c, err)
			return true
		}
		runs := c.Interfaces[0].Ingress[0].Programs[0].Runs
		return runs != nil && runs.Count > 0 && runs.Average() > 0
	})
	close(stop)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	b.stop(rec)
}

// TestChainGone is about an interface that goes while it is read.
func TestChainGone(t *testing.T) {
	b := newBench(t)
	index := netlinkByName(t, dev).Attrs().Index
	r, err := b.chainReader()
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkDel(netlinkByName(t, dev)); err != nil {
		t.Fatal(err)
	}
	_, err = r.read(t.Context(), index, true)
	wantError(t, err, ErrNoTarget, fmt.Sprint(index), "gone")
	for _, attach := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		s := snapshot{}
		err := s.list(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: index}}, StageTCXIngress, attach, &s.chain.Ingress)
		if kernelAtLeast(6, 6) {
			wantError(t, err, ErrNoTarget, "gone")
		}
	}
	if c := b.chain(""); len(c.Interfaces) != 0 {
		t.Errorf("%+v", c)
	}
}

// TestChainChanging moves a program from clsact to tcx when tcx has been read
// already, so that who reads once sees it nowhere.
func TestChainChanging(t *testing.T) {
	b := newBench(t)
	needTCX(t)
	prog := foreignProgram(t, ebpf.ProgramSpec{Type: ebpf.SchedCLS, Name: "theirs"})
	filter := foreignFilter(t, prog, 5)
	if err := errors.Join(netlink.QdiscAdd(clsact(uint32(filter.LinkIndex))), netlink.FilterAdd(filter)); err != nil {
		t.Fatal(err)
	}
	r, err := b.chainReader()
	if err != nil {
		t.Fatal(err)
	}
	var held link.Link
	r.meanwhile = func() {
		if r.meanwhile = nil; netlink.FilterDel(filter) != nil {
			t.Error("the filter was not there")
		}
		held = foreignTCX(t, prog)
	}
	c, err := r.read(t.Context(), filter.LinkIndex, true)
	c.stages(r.describe)
	if got := drawn(c); err != nil || c.Changing || got != "tcx-ingress  theirs - next" {
		t.Errorf("drawn: %q, %v", got, err)
	}
	// A list that is the same again has changed all the same.
	rounds := 0
	r.meanwhile = func() {
		rounds++
		// Closing alone leaves it there while somebody else looks at it.
		if err := errors.Join(held.Detach(), held.Close()); err != nil {
			t.Error(err)
		}
		held = foreignTCX(t, prog)
	}
	c, err = r.read(t.Context(), filter.LinkIndex, true)
	if err != nil || !c.Changing || rounds != chainAttempts {
		t.Errorf("%d rounds: %+v, %v", rounds, c, err)
	}
	if err := held.Close(); err != nil {
		t.Error(err)
	}
	// And one that goes while it is read is gone.
	r.meanwhile = func() {
		if r.meanwhile = nil; netlink.LinkDel(netlinkByName(t, dev)) != nil {
			t.Error("the interface was not there")
		}
	}
	_, err = r.read(t.Context(), filter.LinkIndex, true)
	wantError(t, err, ErrNoTarget, "gone")
}

// TestTypeName compares with the records' names.
func TestTypeName(t *testing.T) {
	names := inspect.ProgramTypes()
	for n, want := range map[ebpf.ProgramType]string{ebpf.XDP: "xdp", ebpf.SchedCLS: "sched_cls", ebpf.Extension: "ext", 0: "unknown#0", 99: "unknown#99"} {
		if got := typeName(n); got != want {
			t.Errorf("%d is %q of %q, want %q", n, got, names, want)
		}
	}
}
