// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
)

// TestXDPOffload is about a driver that does not: nothing of the image is loaded.
func TestXDPOffload(t *testing.T) {
	b := newBench(t)
	b.opts.step = func(step string) error {
		t.Errorf("step %q in spite of the driver", step)
		return nil
	}
	b.reopen()
	_, err := b.Run(t.Context(), verified(t, "x", objCounter), RunOptions{Attach: attachments(t, "xdp_count=xdp:"+dev+",mode=offload")})
	wantError(t, err, ErrUsage, "without maps")
	_, err = b.Run(t.Context(), verified(t, "x", objPass), RunOptions{Attach: attachments(t, "pass=xdp:"+dev+",mode=offload")})
	wantError(t, err, nil, `driver of "`+dev+`" does not offload`)
}

// TestXDPFrags is about packets longer than a page: the driver of veth takes only
// programs for several buffers then.
func TestXDPFrags(t *testing.T) {
	b := newBench(t)
	for _, name := range []string{dev, peer} {
		if err := netlink.LinkSetMTU(netlinkByName(t, name), 9000); err != nil {
			t.Fatal(err)
		}
	}
	rec := b.start(verified(t, "x", objCounter), RunOptions{Iface: dev})
	if l := rec.Links[0]; l.Options["mode"] != "generic" || len(l.Notices) == 0 || !strings.Contains(l.Notices[len(l.Notices)-1], "xdp.frags") {
		t.Errorf("link: %+v", l)
	}
	b.stop(rec)
	_, err := b.Run(t.Context(), verified(t, "x", objCounter), RunOptions{Attach: attachments(t, "xdp_count=xdp:"+dev+",mode=native")})
	wantError(t, err, nil, "native mode", "only those of section xdp.frags", "mode=generic")

	if !kernelAtLeast(5, 18) {
		b.opts.step = func(step string) error { t.Errorf("step %q in spite of the kernel", step); return nil }
		b.reopen()
		_, err := b.Run(t.Context(), verified(t, "x", objFrags), RunOptions{Iface: dev})
		wantError(t, err, nil, "xdp.frags", "Linux 5.18", kernelRelease())
		return
	}
	rec = b.start(verified(t, "x", objFrags), RunOptions{Attach: attachments(t, "count=xdp:"+dev)})
	if l := rec.Links[0]; l.Options["mode"] != "native" || strings.Contains(fmt.Sprint(l.Notices), "generic") {
		t.Errorf("link: %+v", l)
	}
	send(t, peer, 2)
	b.wantCount(rec.Name, "packets", 0, 2)
	b.stop(rec)
}

// TestXDPWithoutDispatcher is about a kernel on which programs cannot share an
// interface: the first one has it, and the second one is told why.
func TestXDPWithoutDispatcher(t *testing.T) {
	b := newBench(t)
	if dispatcher.Supported() == nil {
		t.Skip("SKIP-REASON: needs a kernel that does not take freplace programs")
	}
	v := verified(t, "x", objChain)
	_, err := b.Run(t.Context(), v, RunOptions{Name: "asked", Attach: only(t, "early", "xdp:"+dev+",via=dispatcher")})
	refused := &KernelError{}
	if wantError(t, err, dispatcher.ErrUnsupported, "via=dispatcher is not possible: several XDP programs"); !errors.As(err, &refused) {
		t.Errorf("error %v is no KernelError", err)
	}
	first := b.start(v, RunOptions{Name: "first", Attach: only(t, "early", "xdp:"+dev)})
	if l := first.Links[0]; l.Via != viaLink || spell(l) != "xdp:"+dev+",mode=native" ||
		len(l.Notices) != 1 || !strings.Contains(l.Notices[0], "not shared") {
		t.Errorf("link: %+v", l)
	}
	_, err = b.Run(t.Context(), v, RunOptions{Name: "second", Attach: only(t, "late", "xdp:"+dev)})
	wantError(t, err, unix.EBUSY, `program "early"`, `instance "first"`, "cannot share it", "freplace")
	done, err := b.Update(t.Context(), "first", verified(t, "x", objChain, objExec), UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if c := changeOf(done, "early"); c.Change != ChangeSwapped {
		t.Errorf("change: %+v", c)
	}
	b.stop(done.Instance)
}

// TestXDPOrder is about what cannot be meant.
func TestXDPOrder(t *testing.T) {
	b := newBench(t)
	v := verified(t, "x", objPass)
	for option, word := range map[string]string{
		"priority=-1":            "from 0 to 4294967295",
		"priority=4294967296":    "from 0 to 4294967295",
		"priority=x":             "from 0 to 4294967295",
		"proceed-on=teleport":    "teleport",
		"proceed-on=pass,pass":   "twice",
		"proceed-on=never,pass":  "never",
		"replace=perhaps":        "true, false",
		"via=pigeon":             "dispatcher, link",
		"mode=generic,via=other": "dispatcher, link",
	} {
		_, err := b.Run(t.Context(), v, RunOptions{Attach: attachments(t, "pass=xdp:"+dev+","+option)})
		wantError(t, err, ErrUsage, word)
	}
	if order, err := readXDPOrder(map[string]string{"proceed-on": "never", "priority": "4294967295"}); err != nil ||
		order != (xdpOrder{priority: 1<<32 - 1}) {
		t.Errorf("%+v, %v", order, err)
	}
}
