// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/vishvananda/netlink"

	"github.com/bpfimg/bpfimg/bpf/vmtest/wire"
)

// veth A B creates two connected interfaces and brings them up; they go when the
// script ends, or are unplugged. IPv6 is off on both: the kernel's own packets would be counted.
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

// unplug IFACE deletes an interface, and with it the other end of a pair.
func unplug(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "unplug IFACE")
	link, err := netlink.LinkByName(args[0])
	ts.Check(err)
	ts.Check(netlink.LinkDel(link))
}

// send IFACE COUNT sends COUNT UDP packets out of an interface, whatever routes
// and addresses there are. Each is [wire.PacketLen] bytes long.
func send(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "send IFACE COUNT")
	count, err := strconv.Atoi(args[1])
	ts.Check(err)
	if err := wire.Send(args[0], count); err != nil {
		ts.Fatalf("send: %v", err)
	}
}
