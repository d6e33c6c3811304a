// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

const atOutput = "drop=netfilter,family=ipv4,hook=output,priority=10"

// loopbackOn starts the loopback interface of the test's network namespace.
func loopbackOn(t *testing.T) {
	t.Helper()
	if err := netlink.LinkSetUp(netlinkByName(t, "lo")); err != nil {
		t.Fatal(err)
	}
}

// TestNetfilter drops what leaves, of which the sender is told.
func TestNetfilter(t *testing.T) {
	self4 := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}
	self6 := &unix.SockaddrInet6{Port: 9, Addr: netip.IPv6Loopback().As16()}
	for family, to := range map[string][2]unix.Sockaddr{"ipv4": {self4, self6}, "ipv6": {self6, self4}} {
		t.Run(family, func(t *testing.T) {
			b := newBench(t)
			b.needHook("netfilter", objNetfilter, atOutput)
			loopbackOn(t)
			rec := b.start(verified(t, "x", objNetfilter), RunOptions{Attach: attachments(t, "drop=netfilter,family="+family+",hook=output,priority=-5")})
			wantError(t, say(t, to[0], 1), unix.EPERM)
			if err := say(t, to[1], 1); err != nil {
				t.Errorf("a packet of the other family: %v", err)
			}
			b.wantCount(rec.Name, "packets", 0, 1)
			b.stop(rec)
			if err := say(t, to[0], 1); err != nil {
				t.Errorf("after stop: %v", err)
			}
		})
	}
}

// TestNetfilterDefrag counts a packet in three fragments, or in one piece.
func TestNetfilterDefrag(t *testing.T) {
	for defrag, want := range map[string]int{"false": 3, "true": 1} {
		t.Run(defrag, func(t *testing.T) {
			b := newBench(t)
			b.needHook("netfilter", objNetfilter, atOutput)
			loopbackOn(t)
			if err := netlink.LinkSetMTU(netlinkByName(t, "lo"), 1500); err != nil {
				t.Fatal(err)
			}
			v, opts := verified(t, "x", objNetfilter), RunOptions{Attach: attachments(t, "drop=netfilter,family=ipv4,hook=prerouting,priority=-300,defrag="+defrag)}
			lacking := &UnsupportedError{}
			if err := planned(t, b, v, opts); errors.As(err, &lacking) {
				t.Skipf("SKIP-REASON: needs a kernel that puts fragments together: %v", err)
			}
			rec := b.start(v, opts)
			if err := say(t, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}, 4000); err != nil {
				t.Fatal(err)
			}
			b.wantCount(rec.Name, "packets", 0, want)
			b.stop(rec)
		})
	}
}

// planned is the error of preparing a run, which loads nothing.
func planned(t *testing.T, b *bench, v *verify.Verified, opts RunOptions) error {
	t.Helper()
	p, err := newPlan(v, opts)
	if err != nil {
		t.Fatal(err)
	}
	return (&starting{m: b.Manager, plan: p, rec: &schemas.Instance{Name: "planned", Foreground: true}}).prepare(t.Context())
}

// TestNetfilterNetns attaches in another network namespace, which outlives its
// process with the link in it.
func TestNetfilterNetns(t *testing.T) {
	b := newBench(t)
	b.needHook("netfilter", objNetfilter, atOutput)
	ns := newFarNetns(t)
	to := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}
	rec := b.start(verified(t, "x", objNetfilter), RunOptions{Attach: attachments(t, atOutput+",netns="+ns.path)})
	loopbackOn(t)
	if err := say(t, to, 1); err != nil {
		t.Errorf("here: %v", err)
	}
	ns.do(t, func() error {
		loopbackOn(t)
		wantError(t, say(t, to, 1), unix.EPERM)
		return nil
	})
	b.wantCount(rec.Name, "packets", 0, 1)
	ns.end(t)
	b.stop(rec)
}

func TestNetfilterRefuses(t *testing.T) {
	b := newBench(t)
	b.needHook("netfilter", objNetfilter, atOutput)
	v := verified(t, "x", objNetfilter)
	for attach, word := range map[string]string{
		"drop=netfilter":                                                                 "needs option family",
		"drop=netfilter,family=ipv4,hook=input":                                          "needs option priority",
		"drop=netfilter,family=inet,hook=input,priority=1":                               "can be ipv4, ipv6",
		"drop=netfilter,family=ipv4,hook=ingress,priority=1":                             "can be prerouting, input",
		"drop=netfilter,family=ipv4,hook=input,priority=-2147483648":                     "-2147483647 to 2147483646",
		"drop=netfilter,family=ipv4,hook=input,priority=2147483647":                      "-2147483647 to 2147483646",
		"drop=netfilter,family=ipv4,hook=input,priority=first":                           "-2147483647 to 2147483646",
		"drop=netfilter,family=ipv4,hook=input,priority=-400,defrag=true":                "above -400",
		"drop=netfilter:" + dev + ",family=ipv4,hook=input,priority=1":                   "takes no target",
		"drop=netfilter,family=ipv4,hook=input,priority=1,defrag=maybe":                  "can be true, false",
		"drop=netfilter,family=ipv4,hook=input,priority=1,direction=ingress":             "no option \"direction\"",
		"drop=netfilter,family=ipv4,hook=input,priority=1,netns=relative/path/not/taken": "absolute path",
	} {
		_, err := b.Run(t.Context(), v, RunOptions{Attach: attachments(t, attach)})
		wantError(t, err, ErrUsage, word)
	}
	rec := b.start(v, RunOptions{Attach: attachments(t, atOutput)})
	_, err := b.Run(t.Context(), v, RunOptions{Name: "second", Attach: attachments(t, atOutput)})
	wantError(t, err, unix.EBUSY, "priority 10", `program "drop"`, `of instance "x"`, "no BPF program has 9 or 11")
	b.stop(rec)
}

// TestNetfilterTaken names who has a priority, and which near it are free; another
// hook or network namespace does not matter.
func TestNetfilterTaken(t *testing.T) {
	b := newBench(t)
	b.needHook("netfilter", objNetfilter, atOutput)
	ns := newFarNetns(t)
	v := verified(t, "x", objNetfilter)
	for name, options := range map[string]string{
		"ten": "family=ipv4,hook=input,priority=10", "eleven": "family=ipv4,hook=input,priority=11",
		"twelve": "family=ipv4,hook=forward,priority=12", "nine": "family=ipv6,hook=input,priority=9",
		"far": "family=ipv4,hook=input,priority=9,netns=" + ns.path,
		"end": "family=ipv4,hook=input,priority=2147483646",
	} {
		b.start(v, RunOptions{Name: name, Attach: attachments(t, "drop=netfilter,"+options)})
	}
	for priority, words := range map[string][]string{
		"10":         {`program "drop"`, `instance "ten"`, "no BPF program has 9 or 12"},
		"11":         {`instance "eleven"`, "no BPF program has 9 or 12"},
		"2147483646": {`instance "end"`, "no BPF program has 2147483645:"},
	} {
		_, err := b.Run(t.Context(), v, RunOptions{Attach: attachments(t, "drop=netfilter,family=ipv4,hook=input,priority="+priority)})
		wantError(t, err, unix.EBUSY, words...)
	}
	if err := b.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}
