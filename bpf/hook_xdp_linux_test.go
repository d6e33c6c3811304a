// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
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
