// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestSocketFilter sends more packets than any receive buffer holds, which the
// program lets through and nobody reads, and has every one counted.
func TestSocketFilter(t *testing.T) {
	b := newBench(t)
	r, err := b.Run(t.Context(), verified(t, "x", objSocket), RunOptions{
		Attach: attachments(t, "on_packet=socket:"+dev+",promisc=on"), Foreground: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	const many = 2000
	send(t, peer, many)
	b.wantCounts("x", "packets", many)
	if netlinkByName(t, dev).Attrs().Promisc != 1 {
		t.Error("the interface is not in promiscuous mode")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	b.checkGone(r.Instance)
	if netlinkByName(t, dev).Attrs().Promisc != 0 {
		t.Error("the interface is left in promiscuous mode")
	}
}

func TestSocketFilterInterfaceGone(t *testing.T) {
	b := newBench(t)
	r, err := b.Run(t.Context(), verified(t, "x", objSocket), RunOptions{
		Attach: attachments(t, "on_packet=socket:"+dev), Foreground: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkDel(netlinkByName(t, dev)); err != nil {
		t.Fatal(err)
	}
	st, err := b.Get(t.Context(), "x")
	if err != nil || len(st.Problems) != 1 || !strings.Contains(st.Problems[0], "is gone") {
		t.Errorf("problems %q, error %v", st.Problems, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	b.checkGone(r.Instance)
}

// TestLookup connects to a port on which nobody listens.
func TestLookup(t *testing.T) {
	b := newBench(t)
	loopbackUp(t)
	rec := b.start(verified(t, "x", objLookup), RunOptions{})
	listener, _ := listen(t)
	putSocket(t, rec, "listener", listener)
	if err := unix.Connect(inetSocket(t, unix.SOCK_STREAM), loopback(7007)); err != nil {
		t.Errorf("connecting: %v", err)
	}
	b.wantCounts(rec.Name, "lookups", 1)
	b.stop(rec)
	if err := unix.Connect(inetSocket(t, unix.SOCK_STREAM), loopback(7007)); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("connecting after stop: %v", err)
	}
}

// TestLookupNamespace attaches in another network namespace, which then goes.
func TestLookupNamespace(t *testing.T) {
	b := newBench(t)
	ns := newFarNetns(t)
	rec := b.start(verified(t, "x", objLookup), RunOptions{Attach: attachments(t, "steer=sk_lookup,netns="+ns.path)})
	here := must[uint64](t)(currentNetns())
	if rec.Links[0].Netns == here || rec.Links[0].Netns == 0 {
		t.Errorf("network namespace %d is that of the test", rec.Links[0].Netns)
	}
	var errConnect error
	ns.do(t, func() error {
		lo, err := netlink.LinkByName("lo")
		if err == nil {
			err = netlink.LinkSetUp(lo)
		}
		fd, errSocket := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if errConnect = errors.Join(err, errSocket); errConnect == nil {
			errConnect = errors.Join(unix.Connect(fd, loopback(7007)), unix.Close(fd))
		}
		return nil
	})
	if !errors.Is(errConnect, unix.ECONNREFUSED) {
		t.Errorf("connecting without a listener in the map: %v", errConnect)
	}
	b.wantCounts(rec.Name, "lookups", 1)
	ns.end(t)
	awaitProblem(t, rec.Links[0])
	st, err := b.Get(t.Context(), rec.Name)
	if err != nil || len(st.Problems) != 1 || !strings.Contains(st.Problems[0], "attached to nothing any more") {
		t.Errorf("problems %q, error %v", st.Problems, err)
	}
	b.stop(rec)
}

// TestReuseport attaches to a group of UDP sockets of this very process.
func TestReuseport(t *testing.T) {
	b := newBench(t)
	loopbackUp(t)
	socks, at := sharedSockets(t)
	r, err := b.Run(t.Context(), verified(t, "x", objReuseport), RunOptions{
		Attach: attachments(t, "choose=sk_reuseport:"+socketTarget(socks[0])), Foreground: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	client := inetSocket(t, unix.SOCK_DGRAM)
	datagrams := func(n int) {
		t.Helper()
		for range n {
			if err := unix.Sendto(client, []byte("x"), 0, at); err != nil {
				t.Fatal(err)
			}
		}
	}
	datagrams(3)
	b.wantCounts("x", "choices", 3)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	b.checkGone(r.Instance)
	datagrams(1)
}

// TestReuseportSocketClosed has the process close the socket by which the program
// came to its group, and another socket keep the group.
func TestReuseportSocketClosed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	loopbackUp(t)
	socks, _ := sharedSockets(t)
	own := must[int](t)(unix.FcntlInt(uintptr(socks[0]), unix.F_DUPFD_CLOEXEC, 0))
	r, err := b.Run(t.Context(), verified(t, "x", objReuseport), RunOptions{
		Attach: attachments(t, "choose=sk_reuseport:"+socketTarget(own)), Foreground: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Close(own); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(b.log.String(), "they keep the program until the last of them is closed") {
		t.Errorf("no warning: %s", b.log)
	}
}
