// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestNetns attaches in another network namespace, by the path of a file and by a
// process, and stops from here.
func TestNetns(t *testing.T) {
	for _, hook := range []struct {
		name, object, attach string
		others               []string
		counter              string
	}{
		{"xdp", objCounter, "xdp_count=xdp:" + peer, nil, "pkts"},
		{"tcx", objTC, "tc_ingress=tc:" + peer + ",via=tcx", []string{"tc_egress=none"}, "traffic"},
		{"clsact", objTC, "tc_ingress=tc:" + peer + ",via=clsact", []string{"tc_egress=none"}, "traffic"},
	} {
		for _, by := range []string{"path", "pid"} {
			t.Run(hook.name+" by "+by, func(t *testing.T) {
				b := newBench(t)
				ns := newFarNetns(t)
				where := map[string]string{"path": ns.path, "pid": fmt.Sprintf("pid:%d", ns.pid)}[by]
				if hook.name == "tcx" && !kernelAtLeast(6, 6) {
					t.Skip("SKIP-REASON: runs on Linux 6.6 and newer, it needs tcx")
				}
				rec := b.start(verified(t, "x", hook.object), RunOptions{Attach: attachments(t, append(hook.others, hook.attach+",netns="+where)...)})
				if l := rec.Links[0]; l.Netns == 0 || l.NetnsPath == "" || l.Options["netns"] != where {
					t.Errorf("link: %+v", l)
				}
				send(t, dev, 2)
				if _, text := b.dump(rec.Name, hook.counter); !strings.Contains(text, `"packets","value":2`) && !strings.Contains(text, `"packets":2`) {
					t.Errorf("not counted: %s", text)
				}
				b.stop(rec)
				ns.do(t, func() error { b.checkBareOn(rec.Name, peer); return nil })
			})
		}
	}
}

// TestNetnsRoute is about a route in another network namespace.
func TestNetnsRoute(t *testing.T) {
	b := newBench(t)
	ns := newFarNetns(t)
	rec := b.start(verified(t, "x", objLWT), RunOptions{Attach: lwt(t, "on_xmit", "10.1.0.0/24,dev="+peer+",netns="+ns.path)})
	to := &unix.SockaddrInet4{Port: 9, Addr: [4]byte{10, 1, 0, 5}}
	ns.do(t, func() error {
		address(t, peer, "192.0.2.1/32")
		wantError(t, say(t, to, 1), unix.EPERM)
		return nil
	})
	b.wantCount(rec.Name, "packets", 2, 1)
	if routes := routesTo(t, "10.1.0.0/24"); len(routes) != 0 {
		t.Errorf("a route is here and not there: %v", routes)
	}
	b.stop(rec)
	ns.do(t, func() error {
		if routes := routesTo(t, "10.1.0.0/24"); len(routes) != 0 {
			t.Errorf("left: %v", routes)
		}
		return nil
	})
}

// TestNetnsGone is about a network namespace that is deleted while programs are
// attached in it: the kernel takes them off, ps says so, and stop works.
func TestNetnsGone(t *testing.T) {
	for _, tc := range []struct {
		name, object, problem string
		attach                []string
	}{
		{"xdp", objCounter, "gone", []string{"xdp_count=xdp:" + peer}},
		{"xdp alone", objCounter, "attached to nothing any more", []string{"xdp_count=xdp:" + peer + ",via=link"}},
		{"clsact", objTC, "that is gone", []string{"tc_ingress=tc:" + peer + ",via=clsact", "tc_egress=none"}},
		{"lwt", objLWT, "that is gone", []string{"on_xmit=lwt:10.1.0.0/24,dev=" + peer, "on_in=none", "on_out=none", "on_segment=none"}},
		{"flow dissector", objDissector, "attached to nothing any more", []string{"dissect=flow_dissector"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			ns := newFarNetns(t)
			tc.attach[0] += ",netns=" + ns.path
			rec := b.start(verified(t, "x", tc.object), RunOptions{Attach: attachments(t, tc.attach...)})
			ns.end(t)
			await(t, "the kernel to take it off", func() bool {
				st, err := b.Get(t.Context(), rec.Name)
				return err == nil && strings.Contains(strings.Join(st.Problems, "\n"), tc.problem)
			})
			b.stop(rec)
		})
	}
}

// TestNetnsWrong is about namespaces that are none.
func TestNetnsWrong(t *testing.T) {
	b := newBench(t)
	file := filepath.Join(b.opts.State, "no-namespace")
	if err := replaceFile(file, nil); err != nil {
		t.Fatal(err)
	}
	for netns, want := range map[string]struct {
		target error
		word   string
	}{
		"/run/netns/no-such-namespace": {ErrNoTarget, "no network namespace"},
		"pid:x":                        {ErrUsage, "number of a process"},
		"pid:0":                        {ErrUsage, "number of a process"},
		"pid:2147483646":               {ErrNoTarget, "no network namespace"},
		"blue":                         {ErrUsage, "absolute path"},
		file:                           {nil, "not the file of a network namespace"},
		"/proc/self/ns/mnt":            {nil, "entering network namespace"},
	} {
		_, err := b.Run(t.Context(), verified(t, "x", objCounter), RunOptions{Attach: attachments(t, "xdp_count=xdp:"+dev+",netns="+netns)})
		wantError(t, err, want.target, want.word)
	}
	ns := newFarNetns(t)
	_, err := b.Run(t.Context(), verified(t, "x", objCounter), RunOptions{Attach: attachments(t, "xdp_count=xdp:"+dev+",netns="+ns.path)})
	wantError(t, err, ErrNoTarget, "in this network namespace", peer)
}

// TestClsactElsewhere is about a filter in a network namespace that no file and no
// process leads to.
func TestClsactElsewhere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	ns := newFarNetns(t)
	rec := b.start(verified(t, "far", objTC), RunOptions{Attach: attachments(t, "tc_egress=none", "tc_ingress=tc:"+peer+",via=clsact,netns="+ns.path)})
	hidden, err := unix.Open(ns.path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(hidden)
	ns.end(t)
	wantError(t, b.Stop(t.Context(), "far"), nil, "another network namespace", fmt.Sprint(rec.Links[0].Netns))
	if st, err := b.Get(t.Context(), "far"); err != nil || len(st.Problems) == 0 {
		t.Errorf("%+v, %v", st, err)
	}
	if err := inNetns(fmt.Sprintf("/proc/self/fd/%d", hidden), func() error { return netlink.LinkDel(netlinkByName(t, peer)) }); err != nil {
		t.Fatal(err)
	}
	b.stop(rec)
}
