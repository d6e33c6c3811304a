// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

// Command bareloader is the yardstick for `bpfimg run`: it loads one object file
// with cilium/ebpf, attaches its XDP program and pins everything, with nothing
// else around it. Usage: bareloader OBJECT PROGRAM INTERFACE PINDIR
package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: bareloader OBJECT PROGRAM INTERFACE PINDIR")
		os.Exit(2)
	}
	if err := load(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "bareloader:", err)
		os.Exit(1)
	}
}

func load(object, program, iface, pins string) error {
	nic, err := net.InterfaceByName(iface)
	if err != nil {
		return err
	}
	coll, err := ebpf.LoadCollection(object)
	if err != nil {
		return err
	}
	defer coll.Close()
	if err := os.MkdirAll(pins, 0o700); err != nil {
		return err
	}
	l, err := link.AttachXDP(link.XDPOptions{Program: coll.Programs[program], Interface: nic.Index, Flags: link.XDPDriverMode})
	if err != nil {
		return err
	}
	defer l.Close()
	for name, m := range coll.Maps {
		if err := m.Pin(filepath.Join(pins, "map_"+name)); err != nil {
			return err
		}
	}
	if err := coll.Programs[program].Pin(filepath.Join(pins, "prog_"+program)); err != nil {
		return err
	}
	return l.Pin(filepath.Join(pins, "link"))
}
