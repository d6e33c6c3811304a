// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// jumbo is longer than a page.
const jumbo = 9000

// longPackets lets $DEV and $PEER have packets that fill several buffers.
func longPackets(e *env) error {
	for _, name := range []string{e.dev, e.peer} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetMTU(l, jumbo); err != nil {
			return fmt.Errorf("setting the MTU of %s: %w", name, err)
		}
	}
	return nil
}

// address gives an interface an address.
func address(iface, cidr string) error {
	a, err := netlink.ParseAddr(cidr)
	if err != nil {
		return err
	}
	a.Flags = unix.IFA_F_NODAD
	l, err := netlink.LinkByName(iface)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(l, a); err != nil {
		return fmt.Errorf("giving %s the address %s: %w", iface, cidr, err)
	}
	return nil
}

// sysctl sets one of the calling thread's network namespace.
func sysctl(name, value string) error {
	return os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0)
}

// addressed lets $DEV send.
func addressed(e *env) error { return sender(e.dev, "198.51.100.1/24") }

// sender gives an interface an address, and has it send without asking for those
// of others: what waits for an answer holds its route, and with it the program.
func sender(iface, cidr string) error {
	l, err := netlink.LinkByName(iface)
	if err != nil {
		return err
	}
	return errors.Join(netlink.LinkSetARPOff(l), address(iface, cidr))
}

// router makes this a machine that forwards, for both families, from $DEV.
func router(e *env) error {
	e.cleanup(func() error {
		return errors.Join(sysctl("ipv4/ip_forward", "0"), sysctl("ipv6/conf/all/forwarding", "0"))
	})
	return errors.Join(sysctl("ipv4/ip_forward", "1"), sysctl("ipv6/conf/all/forwarding", "1"),
		sysctl("ipv4/conf/all/rp_filter", "0"), sysctl("ipv4/conf/"+e.dev+"/rp_filter", "0"),
		sysctl("ipv6/conf/"+e.dev+"/disable_ipv6", "0"))
}

// say sends UDP packets of n bytes to an address; the answer is the kernel's.
func say(to string, n int) error {
	addr, err := netip.ParseAddr(to)
	if err != nil {
		return err
	}
	const discard = 9
	family, at := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: discard})
	if addr.Is4() {
		at.(*unix.SockaddrInet4).Addr = addr.As4()
	} else {
		family, at = unix.AF_INET6, &unix.SockaddrInet6{Port: discard, Addr: addr.As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("making a socket: %w", err)
	}
	defer unix.Close(fd)
	for range packets {
		if err := unix.Sendto(fd, make([]byte, n), 0, at); err != nil {
			return fmt.Errorf("sending to %s: %w", to, err)
		}
	}
	return nil
}

// saysTo sends to an address.
func saysTo(to string) func(*env) error {
	return func(*env) error { return say(to, 1) }
}

// refusedTo sends to an address, for which the program must leave no permission.
func refusedTo(to string) func(*env) error {
	return func(*env) error {
		switch err := say(to, 1); {
		case errors.Is(err, unix.EPERM):
			return nil
		case err != nil:
			return fmt.Errorf("sending to %s, which the program refuses: %w", to, err)
		}
		return fmt.Errorf("sending to %s was not refused", to)
	}
}

// sendSegment has a packet arrive at $DEV that goes through the IPv6 segment
// 2001:db8:5::1 (a routing header of type 4, RFC 8754).
func sendSegment(e *env) error {
	addr := func(s string) []byte { return netip.MustParseAddr(s).AsSlice() }
	segment := addr("2001:db8:5::1")
	srh := append([]byte{unix.IPPROTO_NONE, 4, 4, 1, 1, 0, 0, 0}, append(addr("2001:db8:6::1"), segment...)...)
	packet := binary.BigEndian.AppendUint16([]byte{0x60, 0, 0, 0}, uint16(len(srh)))
	packet = append(append(append(packet, unix.IPPROTO_ROUTING, 64), addr("2001:db8:7::1")...), segment...)

	to, err := net.InterfaceByName(e.dev)
	if err != nil {
		return err
	}
	from, err := net.InterfaceByName(e.peer)
	if err != nil {
		return err
	}
	frame := append(append([]byte(to.HardwareAddr), from.HardwareAddr...), 0x86, 0xdd)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a packet socket: %w", err)
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, append(append(frame, packet...), srh...), 0, &unix.SockaddrLinklayer{Ifindex: from.Index})
}

// Ends of a netkit pair.
const (
	netkitName     = "bpfimg2"
	netkitPeerName = "bpfimg3"
)

// netkitPair makes one, whose primary end $NETKIT is.
func netkitPair(e *env) error {
	e.set("NETKIT", netkitName)
	pair := &netlink.Netkit{
		LinkAttrs: netlink.LinkAttrs{Name: netkitName}, Mode: netlink.NETKIT_MODE_L3,
		Policy: netlink.NETKIT_POLICY_FORWARD, PeerPolicy: netlink.NETKIT_POLICY_FORWARD,
	}
	pair.SetPeerAttrs(&netlink.LinkAttrs{Name: netkitPeerName})
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("making a netkit pair: %w", err)
	}
	e.cleanup(func() error { return deleteLink(netkitName) })
	return errors.Join(setUp(netkitName), setUp(netkitPeerName),
		address(netkitName, "203.0.113.1/26"), address(netkitPeerName, "203.0.113.65/26"))
}

// noDevice: nothing in a virtual machine runs programs in hardware.
func noDevice(*env) error { return errDevice }

// fragmenting makes $NETNS a network namespace whose loopback cuts packets. Nobody
// else sends there: in the suite's own, the kernel answers packets of earlier rows
// whose neighbour never came, seconds later and through loopback.
func fragmenting(e *env) error {
	path, err := e.newNetns("bpfimg-suite")
	if err != nil {
		return err
	}
	e.set("NETNS", path)
	return inNetns(path, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetMTU(lo, 1500), netlink.LinkSetUp(lo))
	})
}

// saysMuch sends packets that the loopback of [fragmenting] cuts into three.
func saysMuch(e *env) error {
	return inNetns(e.vars["NETNS"], func() error { return say("127.0.0.1", 4000) })
}
