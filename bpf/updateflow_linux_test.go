// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// burst is how many packets are under way at most: fewer than any queue on the way
// holds, so that none is dropped before a program could see it.
const burst = 16

// flow sends packets and counts them. What is sent through out arrives at in.
type flow struct {
	to      unix.Sockaddr
	data    []byte
	out, in int
	sent    uint64
}

// burst sends some packets and receives them all.
func (f *flow) burst() error {
	for range burst {
		if err := unix.Sendto(f.out, f.data, 0, f.to); err != nil {
			return fmt.Errorf("sending: %w", err)
		}
		f.sent++
	}
	for range burst {
		if _, _, err := unix.Recvfrom(f.in, make([]byte, 128), 0); err != nil {
			return fmt.Errorf("a packet did not arrive: %w", err)
		}
	}
	return nil
}

// pump has flows send in turns, burst by burst, until the function it returns is
// called.
func pump(t *testing.T, flows ...*flow) (halt func()) {
	t.Helper()
	for _, f := range flows {
		// Packets that got lost must not keep the test waiting.
		if err := unix.SetsockoptTimeval(f.in, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}); err != nil {
			t.Fatal(err)
		}
	}
	var stop atomic.Bool
	var done sync.WaitGroup
	done.Go(func() {
		for !stop.Load() {
			for _, f := range flows {
				if err := f.burst(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	return func() {
		stop.Store(true)
		done.Wait()
	}
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
	return &flow{out: out, in: in, data: testFrame(), to: to}
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
	f := &flow{in: in, data: []byte("x"), to: must[unix.Sockaddr](t)(unix.Getsockname(in))}
	inCgroup(t, root, dir, func() {
		f.out = must[int](t)(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	})
	t.Cleanup(func() { unix.Close(f.in); unix.Close(f.out) })
	return f
}

// TestUpdateUnderTraffic has two versions take turns, two hundred times, while
// packets pass XDP, tcx and a cgroup: each is seen once, by one of them. The same
// with filters, fewer times.
func TestUpdateUnderTraffic(t *testing.T) {
	for via, updates := range map[string]int{viaTCX: 200, viaClsact: 40} {
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
			halt := pump(t, wired, looped)
			for i := range updates {
				raw := []string{"raw_new=none", "raw_old=none"}[i%2]
				u, err := b.Update(t.Context(), "up", updateImage(t, 2-i%2), UpdateOptions{Attach: attachments(t, raw)})
				if err != nil {
					t.Error(err)
					break
				}
				rec = u.Instance
			}
			halt()
			for place, sent := range map[int]uint64{placeXDP: wired.sent, placeTC: wired.sent, placeCgroup: looped.sent} {
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
