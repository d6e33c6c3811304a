// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// pace is the time between two packets of a stream. The ring between the ends of
// a veth pair holds 256 packets (VETH_RING_SIZE, drivers/net/veth.c): at this pace
// it overflows only when the receiving end is not served for a second. Every packet
// costs an emulated processor about half a millisecond.
const pace = 5 * time.Millisecond

// numberAt is where a packet of a stream has its number, eight bytes big-endian:
// in the data of the UDP packet.
const numberAt = 14 + 20 + 8

// Stream sends numbered packets out of one end of a veth pair, one every five
// milliseconds, and notes which of them the network stack gets at the other end:
// those that no XDP program there dropped.
type Stream struct {
	sender, tap int
	to          unix.Sockaddr
	sent        atomic.Uint64
	stop        chan struct{}
	done        chan error
}

// StartStream starts a stream from one interface to the other; see [Stream.Stop].
func StartStream(from, to string) (s *Stream, err error) {
	near, err := net.InterfaceByName(from)
	if err != nil {
		return nil, err
	}
	far, err := net.InterfaceByName(to)
	if err != nil {
		return nil, err
	}
	s = &Stream{
		sender: -1, tap: -1, to: &unix.SockaddrLinklayer{Ifindex: near.Index},
		stop: make(chan struct{}), done: make(chan error, 1),
	}
	if s.tap, err = packetSocket(unix.ETH_P_IP, far.Index); err != nil {
		return nil, err
	}
	if s.sender, err = packetSocket(0, near.Index); err != nil {
		return nil, errors.Join(err, unix.Close(s.tap))
	}
	go func() { s.done <- s.run() }()
	return s, nil
}

// packetSocket is bound to one interface; it receives what has the protocol, or
// nothing when that is 0.
func packetSocket(protocol uint16, ifindex int) (int, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, fmt.Errorf("opening a packet socket: %w", err)
	}
	network := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, protocol))
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: network, Ifindex: ifindex}); err != nil {
		return -1, errors.Join(fmt.Errorf("binding a packet socket: %w", err), unix.Close(fd))
	}
	return fd, nil
}

// run sends until it is stopped.
func (s *Stream) run() error {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return nil
		case <-ticker.C:
		}
		n := s.sent.Load() + 1
		if err := unix.Sendto(s.sender, numbered(n), 0, s.to); err != nil {
			return fmt.Errorf("sending packet %d: %w", n, err)
		}
		s.sent.Store(n)
	}
}

// numbered is packet n of a stream.
func numbered(n uint64) []byte {
	p := udpPacket()
	binary.BigEndian.PutUint64(p[numberAt:], n)
	return p
}

// Sent is the number of packets so far; the first has number 1.
func (s *Stream) Sent() uint64 { return s.sent.Load() }

// Stop ends the sending and says how many packets were sent. The last of them may
// be on their way yet. [Stream.Close] must still be called.
func (s *Stream) Stop() (sent uint64, err error) {
	close(s.stop)
	err = <-s.done
	return s.sent.Load(), err
}

// maxNumbers bounds how many numbers [Stream.Escaped] returns.
const maxNumbers = 16

// Escaped says how many packets the network stack has got since the last call,
// and the numbers of the first of them.
func (s *Stream) Escaped() (count uint64, numbers []uint64, err error) {
	packet := make([]byte, PacketLen)
	for {
		n, _, err := unix.Recvfrom(s.tap, packet, 0)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return 0, nil, fmt.Errorf("reading what reached the stack: %w", err)
		}
		if n >= numberAt+8 && len(numbers) < maxNumbers {
			numbers = append(numbers, binary.BigEndian.Uint64(packet[numberAt:]))
		}
	}
	// The kernel counts those too for which the socket had no room.
	stats, err := unix.GetsockoptTpacketStats(s.tap, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, nil, fmt.Errorf("counting what reached the stack: %w", err)
	}
	return uint64(stats.Packets), numbers, nil
}

// Close frees what a stopped stream holds.
func (s *Stream) Close() error {
	return errors.Join(unix.Close(s.sender), unix.Close(s.tap))
}
