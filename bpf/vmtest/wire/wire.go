// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

// Package wire puts packets on network interfaces, for what runs inside the test
// machines.
//
// Doors: [Send] for a few packets, [StartStream] for many while something changes.
package wire

import (
	"encoding/binary"
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// Send sends count UDP packets out of an interface, whatever routes and addresses
// there are. Each is [PacketLen] bytes long.
func Send(name string, count int) error {
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

// PacketLen is the length of a packet in bytes: the shortest Ethernet frame,
// without its checksum (IEEE 802.3).
const PacketLen = 60

// udpPacket is a broadcast from and to documentation addresses (RFC 5737), port
// 9 (discard).
func udpPacket() []byte {
	const ethernet, ip, udp = 14, 20, 8
	p := make([]byte, PacketLen)
	copy(p, "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x00")
	h := p[ethernet:]
	h[0] = 0x45 // version 4, five words
	binary.BigEndian.PutUint16(h[2:], PacketLen-ethernet)
	h[8] = 64 // time to live
	h[9] = unix.IPPROTO_UDP
	copy(h[12:], []byte{192, 0, 2, 1, 192, 0, 2, 2})
	binary.BigEndian.PutUint16(h[10:], checksum(h[:ip]))
	u := h[ip:]
	binary.BigEndian.PutUint16(u[0:], 9)
	binary.BigEndian.PutUint16(u[2:], 9)
	binary.BigEndian.PutUint16(u[4:], PacketLen-ethernet-ip) // header and data
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
