// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// veth A B creates two connected interfaces and brings them up; they go when the
// script ends. IPv6 is off on both: the kernel's own packets would be counted.
func veth(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "veth A B")
	link := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: args[0]}, PeerName: args[1]}
	if err := netlink.LinkAdd(link); err != nil {
		ts.Fatalf("creating veth pair: %v", err)
	}
	ts.Defer(func() {
		if err := netlink.LinkDel(link); err != nil {
			ts.Logf("deleting veth pair: %v", err)
		}
	})
	for _, name := range args[:2] {
		setting := filepath.Join("/proc/sys/net/ipv6/conf", name, "disable_ipv6")
		ts.Check(os.WriteFile(setting, []byte("1"), 0))
		end, err := netlink.LinkByName(name)
		ts.Check(err)
		ts.Check(netlink.LinkSetUp(end))
	}
}

// send IFACE COUNT sends COUNT UDP packets out of an interface, whatever routes
// and addresses there are. Each is [packetLen] bytes long.
func send(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "send IFACE COUNT")
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	if err := sendPackets(args[0], count); err != nil {
		ts.Fatalf("send: %v", err)
	}
}

func sendPackets(name string, count int) error {
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a packet socket: %w", err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrLinklayer{Ifindex: iface.Index}
	for range count {
		if err := unix.Sendto(fd, udpPacket(), 0, to); err != nil {
			return fmt.Errorf("sending on %s: %w", name, err)
		}
	}
	return nil
}

// packetLen is the shortest Ethernet frame, without its checksum (IEEE 802.3).
const packetLen = 60

// udpPacket is a broadcast from and to documentation addresses (RFC 5737), port
// 9 (discard).
func udpPacket() []byte {
	const ethernet, ip, udp = 14, 20, 8
	p := make([]byte, packetLen)
	copy(p, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x00")
	h := p[ethernet:]
	h[0] = 0x45 // version 4, five words
	binary.BigEndian.PutUint16(h[2:], packetLen-ethernet)
	h[8] = 64 // time to live
	h[9] = unix.IPPROTO_UDP
	copy(h[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	binary.BigEndian.PutUint16(h[10:], checksum(h[:ip]))
	u := h[ip:]
	binary.BigEndian.PutUint16(u[0:], 9)
	binary.BigEndian.PutUint16(u[2:], 9)
	binary.BigEndian.PutUint16(u[4:], packetLen-ethernet-ip) // header and data
	_ = u[udp:]                                              // no checksum, data zero
	return p
}

// checksum is the Internet checksum (RFC 1071) of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
