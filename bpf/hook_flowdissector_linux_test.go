// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"encoding/binary"
	"errors"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// fanout opens two sockets of a group at dev that packets are shared between by
// the flow they are of, and returns how many packets each gets while f runs.
func fanout(t *testing.T, f func()) (got [2]int) {
	t.Helper()
	var fds [2]int
	for i := range fds {
		const protocol = unix.ETH_P_IP
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(binary.BigEndian.Uint16([]byte{protocol & 0xff, protocol >> 8})))
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		at := &unix.SockaddrLinklayer{Protocol: binary.BigEndian.Uint16([]byte{protocol & 0xff, protocol >> 8}), Ifindex: netlinkByName(t, dev).Attrs().Index}
		if err := unix.Bind(fd, at); err != nil {
			t.Fatal(err)
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_FANOUT, 77|unix.PACKET_FANOUT_HASH<<16); err != nil {
			t.Fatal(err)
		}
		fds[i] = fd
	}
	f()
	for i, fd := range fds {
		for {
			_, _, err := unix.Recvfrom(fd, make([]byte, 100), 0)
			if errors.Is(err, unix.EAGAIN) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got[i]++
		}
	}
	return got
}

// TestFlowDissector makes all flows one: one socket of a group gets all packets.
func TestFlowDissector(t *testing.T) {
	b := newBench(t)
	b.needHook("flow_dissector", objDissector)
	many := func() {
		for i := range 32 {
			frame := append([]byte(netlinkByName(t, dev).Attrs().HardwareAddr), 2, 0, 0, 0, 0, 1, 8, 0)
			sendFrame(t, append(frame, udp4("192.0.2."+itoa(i+1), "198.51.100.1")...))
		}
	}
	if got := fanout(t, many); got[0] == 0 || got[1] == 0 {
		t.Errorf("without a program the sockets got %v packets", got)
	}
	v := verified(t, "x", objDissector)
	rec := b.start(v, RunOptions{Attach: attachments(t, "dissect=flow_dissector")})
	if got := fanout(t, many); got != [2]int{32, 0} && got != [2]int{0, 32} {
		t.Errorf("the sockets got %v packets, want all at one", got)
	}
	// Sending them is a reason to dissect them, too.
	if n, err := strconv.Atoi(b.countAt(rec.Name, "packets", 0)); err != nil || n < 32 {
		t.Errorf("%d packets dissected, want 32 or more", n)
	}
	_, err := b.Run(t.Context(), v, RunOptions{Name: "second", Attach: attachments(t, "dissect=flow_dissector")})
	wantError(t, err, unix.EBUSY, "has a flow dissector already", `instance "x"`)
	b.stop(rec)
	if got := fanout(t, many); got[0] == 0 || got[1] == 0 {
		t.Errorf("after stop the sockets got %v packets", got)
	}
}

func TestFlowDissectorRefuses(t *testing.T) {
	b := newBench(t)
	b.needHook("flow_dissector", objDissector)
	_, err := b.Run(t.Context(), verified(t, "x", objDissector), RunOptions{Attach: attachments(t, "dissect=flow_dissector:"+dev)})
	wantError(t, err, ErrUsage, "takes no target", "netns")
	_, err = b.Run(t.Context(), verified(t, "x", objDissector), RunOptions{Iface: dev})
	wantError(t, err, ErrUsage, "no program here waits for an interface")
}

// TestFlowDissectorNetns is about one in another network namespace, at the same
// time as one in this.
func TestFlowDissectorNetns(t *testing.T) {
	b := newBench(t)
	b.needHook("flow_dissector", objDissector)
	ns := newFarNetns(t)
	v := verified(t, "x", objDissector)
	far := b.start(v, RunOptions{Name: "far", Attach: attachments(t, "dissect=flow_dissector,netns="+ns.path)})
	near := b.start(v, RunOptions{Name: "near", Attach: attachments(t, "dissect=flow_dissector")})
	if far.Links[0].Netns == near.Links[0].Netns {
		t.Errorf("both are in network namespace %d", near.Links[0].Netns)
	}
	b.stop(near)
	b.stop(far)
}
