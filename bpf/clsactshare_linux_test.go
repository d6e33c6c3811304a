// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/bpfimg/bpfimg/schemas"
)

// tool runs another program, in the test's network namespace, and returns what it
// prints.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIP-REASON: needs %s, another tool that works on the same interface", name)
	}
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// filterByTool adds a filter of somebody else to the ingress of dev.
func filterByTool(t *testing.T, args string) {
	t.Helper()
	tool(t, "tc", strings.Fields("filter add dev "+dev+" ingress "+args)...)
}

// pinOf is where an instance has pinned a program, for tc to find it.
func pinOf(t *testing.T, rec schemas.Instance, program string) string {
	t.Helper()
	for _, p := range rec.Programs {
		if p.Name == program {
			return p.Pin
		}
	}
	t.Fatalf("no program %q", program)
	return ""
}

// TestClsactTaken is about a place that somebody has: who, and what to do.
func TestClsactTaken(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		theirs func(*testing.T, *bench)
		ours   string
		words  []string
	}{
		{
			"ours, the same handle", func(_ *testing.T, b *bench) { b.verdict("first", "plain", 0, ",via=clsact,priority=50,handle=7") },
			",via=clsact,priority=50,handle=7",
			[]string{"handle 0x7 at priority 50", dev, "ingress", `program "plain"`, `instance "first"`, "choose another handle or priority"},
		},
		{
			"of tc, the same handle", func(t *testing.T, b *bench) {
				loaded := b.start(verified(t, "loaded", objProceed), RunOptions{Name: "loaded", Attach: attachments(t,
					"plain=none", "untyped=none", "calls=none", "tails=none", "deep=none", "tail=tc:"+dev+",direction=ingress,via=clsact,priority=60")})
				filterByTool(t, "protocol all pref 50 handle 0x7 bpf da object-pinned "+pinOf(t, loaded, "untyped"))
			},
			",via=clsact,priority=50,handle=7",
			// The program is one of ours, whoever added the filter.
			[]string{"handle 0x7 at priority 50", `program "untyped"`, "choose another handle or priority"},
		},
		{
			"another kind", func(t *testing.T, b *bench) { addU32(t, "all", 50) },
			",via=clsact,priority=50",
			[]string{"priority 50", "another kind", `kind "u32"`, "did not add", "choose another priority"},
		},
		{
			"another kind and protocol", func(t *testing.T, b *bench) { addU32(t, "ip", 50) },
			",via=clsact,priority=50",
			[]string{"priority 50", `kind "u32" for protocol 0x0800`, "choose another priority"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			tc.theirs(t, b)
			before := len(filters(t))
			_, err := b.Run(t.Context(), verified(t, "x", objProceed), RunOptions{
				Name: "ours", Attach: onlyProgram(t, "plain", "tc:"+dev+",direction=ingress"+tc.ours),
			})
			wantError(t, err, nil, tc.words...)
			if kernel := (&KernelError{}); !errors.As(err, &kernel) {
				t.Errorf("%v is no KernelError", err)
			}
			if after := len(filters(t)); after != before {
				t.Errorf("%d filters before a refused run, %d after", before, after)
			}
			if err := b.StopAll(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// addU32 adds a filter that takes every packet to class 1:1, which here means to
// let it through and to ask no filter behind.
func addU32(t *testing.T, protocol string, priority int) {
	t.Helper()
	if kind, err := ingressQdisc(uint32(netlinkByName(t, dev).Attrs().Index)); err != nil || kind == "" {
		tool(t, "tc", "qdisc", "add", "dev", dev, "clsact")
	}
	filterByTool(t, fmt.Sprintf("protocol %s pref %d u32 match u32 0 0 flowid 1:1", protocol, priority))
}

// TestClsactOrder is about filters between those of others: lower priority first,
// two of one priority in the order the kernel keeps, and what tools show of it.
func TestClsactOrder(t *testing.T) {
	b := newBench(t)
	l := newListener(t)
	last := b.verdict("last", "plain", 0, ",via=clsact,priority=30")
	first := b.verdict("first", "plain", 0, ",via=clsact,priority=10,handle=1,proceed-on=ok")
	beside := b.verdict("beside", "plain", tcUnspec, ",via=clsact,priority=10,handle=2")
	filterByTool(t, "protocol all pref 20 handle 0x5 bpf da object-pinned "+pinOf(t, last, "untyped"))
	sendTest(t, 3)
	// "untyped" counts in the map of "last" and ends the chain.
	for instance, want := range map[string]int{"first": 3, "beside": 3, "last": 3} {
		b.wantCount(instance, "seen", 0, want)
	}
	tool(t, "tc", "filter", "del", "dev", dev, "ingress", "pref", "20")
	addU32(t, "0x88b5", 20)
	sendTest(t, 2)
	for instance, want := range map[string]int{"first": 5, "beside": 5, "last": 3} {
		b.wantCount(instance, "seen", 0, want)
	}
	if n := l.delivered(); n != 5 {
		t.Errorf("%d packets arrived", n)
	}
	shown := tool(t, "tc", "filter", "show", "dev", dev, "ingress")
	for _, want := range []string{"pref 10 bpf chain 0 handle 0x1 plain direct-action", "pref 10 bpf chain 0 handle 0x2 plain", "pref 20 u32", "pref 30 bpf"} {
		if !strings.Contains(shown, want) {
			t.Errorf("tc shows no %q:\n%s", want, shown)
		}
	}
	shown = tool(t, "bpftool", "net", "show", "dev", dev)
	if n := strings.Count(shown, "clsact/ingress plain"); n != 3 {
		t.Errorf("bpftool shows %d of ours:\n%s", n, shown)
	}
	for _, rec := range []schemas.Instance{first, beside, last} {
		if err := b.Stop(t.Context(), rec.Name); err != nil {
			t.Error(err)
		}
	}
	// Theirs stays, and the qdisc with it.
	if f := filters(t); len(f) != 1 || f[0].Type() != "u32" {
		t.Errorf("filters: %v", f)
	}
}

// TestClsactMany is about more programs than XDP takes.
func TestClsactMany(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := newListener(t)
	var all []schemas.Instance
	const many = 11
	for i := many; i > 0; i-- { // the last one first
		code, options := 0, ",proceed-on=ok"
		if i == many {
			code, options = 2, "" // TC_ACT_SHOT
		}
		all = append(all, b.verdict("n"+itoa(i), "plain", code, fmt.Sprintf(",via=clsact,priority=%d", 10*i)+options))
	}
	sendTest(t, 4)
	for _, rec := range all {
		b.wantCount(rec.Name, "seen", 0, 4)
	}
	if n := l.delivered(); n != 0 {
		t.Errorf("%d packets passed the last one", n)
	}
	b.stopAll(all...)
}

// TestTCXThenClsact is about both on one interface: tcx first, and its unknown codes
// end tcx alone.
func TestTCXThenClsact(t *testing.T) {
	t.Parallel()
	if err := haveTCXHere(t); err != nil {
		t.Skip("SKIP-REASON: needs a kernel that has tcx (6.6)")
	}
	for code, want := range map[int]int{-1: 3, 0: 0, 2: 0, 3: 3, 4: 3, 7: 0} {
		t.Run(tcActions()[code-tcUnspec], func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			filter := b.verdict("filter", "plain", 0, ",via=clsact,priority=1")
			before := b.verdict("before", "plain", code, ",via=tcx")
			sendTest(t, 3)
			b.wantCount("before", "seen", 0, 3)
			b.wantCount("filter", "seen", 0, want)
			b.stopAll(before, filter)
		})
	}
}

// TestClsactInterfaceGone removes the interface before every step of a run and of a
// stop: nothing is left, and an interface of the same name has nothing of ours.
func TestClsactInterfaceGone(t *testing.T) {
	t.Parallel()
	for _, again := range []bool{false, true} {
		for _, do := range []string{"run", "stop"} {
			t.Run(fmt.Sprintf("%s, again %v", do, again), func(t *testing.T) {
				t.Parallel()
				b := newBench(t)
				for n, done := 1, false; !done; n++ {
					b.disarm()
					rec := schemas.Instance{Name: "fault"}
					if do == "stop" {
						rec = b.verdict("fault", "plain", 0, ",via=clsact,proceed-on=ok")
					}
					s := b.arm(n, func() error { return replaceDev(again) })
					err := b.doOnGone(do)
					done = len(s.seen) < n
					if done {
						break
					}
					if do == "stop" && err != nil {
						t.Errorf("step %q: %v", s.seen[n-1], err)
					}
					if do == "run" {
						if r, _ := b.record("fault"); r != nil {
							rec = *r
						}
						b.disarm()
						if err := b.Stop(t.Context(), "fault"); err != nil && !errors.Is(err, ErrNoInstance) {
							t.Errorf("step %q: stopping: %v", s.seen[n-1], err)
						}
					}
					b.checkGone(rec)
					if err := replaceDev(true); err != nil {
						t.Fatal(err)
					}
					if t.Failed() {
						t.Fatalf("at step %d of %q", n, s.seen)
					}
				}
				b.disarm()
				if err := b.StopAll(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// doOnGone runs or stops an instance whose interface may vanish.
func (b *bench) doOnGone(do string) error {
	if do == "stop" {
		return b.Stop(b.t.Context(), "fault")
	}
	_, err := b.Run(b.t.Context(), verified(b.t, "x", objProceed), RunOptions{
		Name: "fault", Attach: onlyProgram(b.t, "plain", "tc:"+dev+",direction=ingress,via=clsact,proceed-on=ok"),
	})
	return err
}

// replaceDev removes the pair of interfaces, if it is there, and perhaps makes one
// of the same names.
func replaceDev(again bool) error {
	if l, err := netlink.LinkByName(dev); err == nil {
		if err := netlink.LinkDel(l); err != nil {
			return err
		}
	}
	if !again {
		return nil
	}
	return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: dev}, PeerName: peer})
}
