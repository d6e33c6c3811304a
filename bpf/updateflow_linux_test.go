// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
func loop(t *testing.T, dir string) *flow {
	t.Helper()
	if err := netlink.LinkSetUp(netlinkByName(t, "lo")); err != nil {
		t.Fatal(err)
	}
	in := must[int](t)(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	if err := unix.Bind(in, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	f := &flow{in: in, data: []byte("x"), to: must[unix.Sockaddr](t)(unix.Getsockname(in))}
	f.out = socketOf(t, dir)
	t.Cleanup(func() { unix.Close(f.in); unix.Close(f.out) })
	return f
}

// envSocketOf is the cgroup for [TestSocketChild].
const envSocketOf = "BPFIMG_TEST_SOCKET_OF"

// socketOf is a socket of a process in a cgroup: this process stays where it is,
// with all that other tests do in it.
func socketOf(t *testing.T, dir string) int {
	t.Helper()
	pair := must[[2]int](t)(unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0))
	ours, theirs := os.NewFile(uintptr(pair[0]), "ours"), os.NewFile(uintptr(pair[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	cmd := exec.CommandContext(t.Context(), must[string](t)(os.Executable()), "-test.run=^TestSocketChild$")
	cmd.Env, cmd.ExtraFiles = append(os.Environ(), envSocketOf+"="+dir), []*os.File{theirs}
	if out, err := cmd.CombinedOutput(); err != nil || strings.Contains(string(out), "SKIP") {
		t.Fatalf("child: %v\n%s", err, out)
	}
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := unix.Recvmsg(int(ours.Fd()), make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	messages := must[[]unix.SocketControlMessage](t)(unix.ParseSocketControlMessage(oob[:n]))
	return must[[]int](t)(unix.ParseUnixRights(&messages[0]))[0]
}

// TestSocketChild is the process of socketOf.
func TestSocketChild(t *testing.T) {
	dir := os.Getenv(envSocketOf)
	if dir == "" {
		t.Skip("SKIP-REASON: runs only as the child of TestUpdateUnderTraffic")
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	fd := must[int](t)(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))
	if err := unix.Sendmsg(3, []byte{0}, unix.UnixRights(fd), nil, 0); err != nil {
		t.Fatal(err)
	}
}

// TestUpdateUnderTraffic has two versions take turns, two hundred times, while
// packets pass XDP, tcx and a cgroup: each is seen once, by one of them. The same
// with filters, fewer times.
func TestUpdateUnderTraffic(t *testing.T) {
	for via, updates := range map[string]int{viaTCX: 200, viaClsact: 40} {
		t.Run(via, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if via == viaTCX && !kernelAtLeast(6, 6) {
				t.Skip("SKIP-REASON: runs on Linux 6.6 and newer, it needs tcx")
			}
			_, dir := ownCgroup(t)
			rec := b.start(updateImage(t, 1), RunOptions{Attach: attachments(t,
				"xdp_see=xdp:"+dev, "tc_see=tc:"+dev+",via="+via, "cgroup_see=cgroup_skb:"+dir,
				"tracepoint_see=none", "raw_old=none")})
			wired, looped := wire(t), loop(t, dir)
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
