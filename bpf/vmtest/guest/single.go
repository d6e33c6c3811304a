// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/vishvananda/netlink"
)

// xdp IFACE OBJECT PROGRAM attaches a program to an interface as a tool does that
// shares with nobody: by netlink, in the driver; xdp IFACE off takes away what
// is there.
func xdp(ts *testscript.TestScript, neg bool, args []string) {
	const usage = "xdp IFACE OBJECT PROGRAM | xdp IFACE off"
	want(ts, neg, args, 2, usage)
	iface, err := netlink.LinkByName(args[0])
	ts.Check(err)
	if args[1] == "off" {
		ts.Check(netlink.LinkSetXdpFd(iface, -1))
		return
	}
	want(ts, neg, args, 3, usage)
	ts.Check(attachSingle(iface, ts.MkAbs(args[1]), args[2]))
}

func attachSingle(iface netlink.Link, object, program string) error {
	spec, err := ebpf.LoadCollectionSpec(object)
	if err != nil {
		return err
	}
	loaded, err := ebpf.NewCollection(spec)
	if err != nil {
		return err
	}
	defer loaded.Close()
	p := loaded.Programs[program]
	if p == nil {
		return fmt.Errorf("%s has no program %q", object, program)
	}
	return netlink.LinkSetXdpFd(iface, p.FD())
}
