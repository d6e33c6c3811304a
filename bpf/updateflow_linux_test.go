// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	// updates is how often the versions take turns while packets flow.
	updates = 200
	// burst is how many packets are under way at most: fewer than any queue on the
	// way holds, so that none is dropped before a program could see it.
	burst = 16
)

// flow sends packets in bursts until it is told to stop, and counts them. A burst
// follows when the one before has arrived.
type flow struct {
	t    *testing.T
	to   unix.Sockaddr
	data []byte
	// out and in are sockets; what is sent through out arrives at in.
	out, in int
	stop    chan struct{}
	done    sync.WaitGroup
	sent    uint64
}

// start sends until halt is called.
func (f *flow) start() {
	f.stop = make(chan struct{})
	// Packets that got lost must not keep the test waiting.
	if err := unix.SetsockoptTimeval(f.in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}); err != nil {
		f.t.Fatal(err)
	}
	f.done.Go(func() {
		for {
			select {
			case <-f.stop:
				return
			default:
			}
			if !f.burst() {
				return
			}
		}
	})
}

// burst sends some packets and receives them all.
func (f *flow) burst() bool {
	for range burst {
		if err := unix.Sendto(f.out, f.data, 0, f.to); err != nil {
			f.t.Errorf("sending: %v", err)
			return false
		}
		f.sent++
	}
	for range burst {
		if _, _, err := unix.Recvfrom(f.in, make([]byte, 128), 0); err != nil {
			f.t.Errorf("a packet did not arrive: %v", err)
			return false
		}
	}
	return true
}

// halt ends the sending and answers how many packets there were.
func (f *flow) halt() uint64 {
	close(f.stop)
	f.done.Wait()
	return f.sent
}

// wire is a flow from peer to dev, which passes XDP and tc there.
func wire(t *testing.T) *flow {
	t.Helper()
	out := must[int](t)(unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0))
	all := int(htons(unix.ETH_P_ALL))
	in := must[int](t)(unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all))
	t.Cleanup(func() { unix.Close(out); unix.Close(in) })
	if err := unix.Bind(in, &unix.SockaddrLinklayer{Ifindex: netlinkByName(t, dev).Attrs().Index, Protocol: htons(unix.ETH_P_ALL)}); err != nil {
		t.Fatal(err)
	}
	to := &unix.SockaddrLinklayer{Ifindex: netlinkByName(t, peer).Attrs().Index, Halen: 6}
	return &flow{t: t, out: out, in: in, data: testFrame(), to: to}
}

func htons(v uint16) uint16 { return v<<8 | v>>8 }

// loop is a flow over the loopback device out of a cgroup: a socket belongs to the
// cgroup it was made in.
func loop(t *testing.T, root, dir string) *flow {
	t.Helper()
	if err := netlink.LinkSetUp(netlinkByName(t, "lo")); err != nil {
		t.Fatal(err)
	}
	in := must[int](t)(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	if err := unix.Bind(in, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	f := &flow{t: t, in: in, data: []byte("x"), to: must[unix.Sockaddr](t)(unix.Getsockname(in))}
	inCgroup(t, root, dir, func() {
		f.out = must[int](t)(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	})
	t.Cleanup(func() { unix.Close(f.in); unix.Close(f.out) })
	return f
}

// TestUpdateUnderTraffic has two versions take turns two hundred times while
// packets pass XDP, tc and a cgroup: each is seen once, by one of them.
func TestUpdateUnderTraffic(t *testing.T) {
	for _, via := range []string{viaTCX, viaClsact} {
		t.Run(via, func(t *testing.T) {
			b := newBench(t)
			if via == viaTCX && !kernelAtLeast(6, 6) {
				t.Skip("SKIP-REASON: runs on Linux 6.6 and newer, it needs tcx")
			}
			root, dir := ownCgroup(t)
			rec := b.start(updateImage(t, 1), RunOptions{Attach: attachments(t,
				"xdp_see=xdp:"+dev, "tc_see=tc:"+dev+",via="+via, "cgroup_see=cgroup_skb:"+dir,
				"tracepoint_see=none", "raw_old=none")})
			wired, looped := wire(t), loop(t, root, dir)
			wired.start()
			looped.start()
			for i := range updates {
				raw := []string{"raw_new=none", "raw_old=none"}[i%2]
				u, err := b.Update(t.Context(), "up", updateImage(t, 2-i%2), UpdateOptions{Attach: attachments(t, raw)})
				if err != nil {
					t.Error(err)
					break
				}
				rec = u.Instance
			}
			overWire, overLoop := wired.halt(), looped.halt()
			for place, sent := range map[int]uint64{placeXDP: overWire, placeTC: overWire, placeCgroup: overLoop} {
				got := b.seen(rec, place)
				if got[0]+got[1] != sent || got[0] == 0 || got[1] == 0 {
					t.Errorf("place %d: seen %v of %d packets", place, got, sent)
				}
				t.Logf("place %d: %d packets, seen by the versions: %v", place, sent, got)
			}
			b.checkIntact(rec)
			b.stop(rec)
		})
	}
}
