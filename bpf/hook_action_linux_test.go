// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestAction(t *testing.T) {
	b := newBench(t)
	b.needHook("action", objAction, "count=action:"+dev+",direction=ingress")
	rec := b.start(verified(t, "x", objAction), RunOptions{Attach: attachments(t, "count=action:"+dev+",direction=ingress,priority=9")})
	if l := rec.Links[0]; l.Options["priority"] != "9" || l.Options["handle"] == "" || !l.CreatedQdisc || l.Via != viaNetlink {
		t.Errorf("link: %+v", l)
	}
	send(t, peer, 3)
	b.wantCount(rec.Name, "packets", 0, 3)
	_, err := b.Run(t.Context(), verified(t, "y", objAction), RunOptions{Attach: attachments(t, "count=action:"+dev+",direction=ingress,priority=9")})
	wantError(t, err, nil, "priority 9", "in use by another filter")
	if err := netlink.FilterDel(filters(t)[0]); err != nil {
		t.Fatal(err)
	}
	if st, err := b.Get(t.Context(), rec.Name); err != nil || !strings.Contains(strings.Join(st.Problems, ""), `the filter of program "count"`) {
		t.Errorf("%q, %v", st.Problems, err)
	}
	b.stop(rec)
}

// TestActionShared is about a program and an action in one qdisc: the last one
// removes it.
func TestActionShared(t *testing.T) {
	for _, first := range []string{"program", "action"} {
		t.Run(first, func(t *testing.T) {
			b := newBench(t)
			b.needHook("action", objAction, "count=action:"+dev+",direction=ingress")
			program := b.clsact("program", "")
			action := b.start(verified(t, "x", objAction), RunOptions{Name: "action", Attach: attachments(t, "count=action:"+dev+",direction=ingress")})
			send(t, peer, 2)
			last := action
			if first == "action" {
				last = program
			}
			if err := b.Stop(t.Context(), first); err != nil {
				t.Fatal(err)
			}
			if f := filters(t); len(f) != 1 {
				t.Errorf("filters: %v", f)
			}
			b.stop(last)
		})
	}
}

// TestActionStray is about an action without a record: its pins lead to it.
func TestActionStray(t *testing.T) {
	b := newBench(t)
	b.needHook("action", objAction, "count=action:"+dev+",direction=ingress")
	rec := b.start(verified(t, "x", objAction), RunOptions{Attach: attachments(t, "count=action:"+dev+",direction=ingress")})
	if err := b.forget(rec.Name); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context(), rec.Name); err != nil {
		t.Fatal(err)
	}
	if f := filters(t); len(f) != 0 {
		t.Errorf("filters: %v", f)
	}
}

func TestActionRefuses(t *testing.T) {
	b := newBench(t)
	b.needHook("action", objAction, "count=action:"+dev+",direction=ingress")
	for options, word := range map[string]string{
		"":                              "needs a direction",
		",direction=ingress,priority=0": "1 to 65535",
		",direction=ingress,via=tcx":    `no option "via"`,
	} {
		_, err := b.Run(t.Context(), verified(t, "x", objAction), RunOptions{Attach: attachments(t, "count=action:"+dev+options)})
		wantError(t, err, ErrUsage, word)
	}
}
