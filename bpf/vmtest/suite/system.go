// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Where things are: the pins of bpfimg, the mount they are in, named network
// namespaces, and the machine's mount of cgroup2.
const (
	bpffs    = "/sys/fs/bpf"
	pins     = bpffs + "/bpfimg-suite"
	netnsDir = "/run/netns"
	cgroupFS = "/sys/fs/cgroup"
)

// prepareSystem mounts what is asked for and brings the network up that rows
// start from: loopback alone, and no IPv6 on interfaces to come, since the
// kernel's own packets would be counted.
func (g *engine) prepareSystem() error {
	root := cgroupFS
	if g.mount {
		root = filepath.Join(g.dir, "cgroup2")
		if err := mountOwn(root); err != nil {
			return err
		}
		g.undo = append(g.undo, func() error { return unix.Unmount(root, unix.MNT_DETACH) })
	}
	// Not removable while a cgroup below it is; rows remove theirs.
	g.cgroups = filepath.Join(root, fmt.Sprintf("bpfimg-suite-%d", os.Getpid()))
	if err := os.Mkdir(g.cgroups, 0o755); err != nil {
		return fmt.Errorf("making a cgroup: %w", err)
	}
	g.undo = append(g.undo, func() error { return unix.Rmdir(g.cgroups) })
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("switching IPv6 off: %w", err)
	}
	return setUp("lo")
}

// mountOwn mounts file systems where only this process and its children see
// them, which takes a mount namespace of its own.
func mountOwn(cgroups string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := os.MkdirAll(cgroups, 0o755); err != nil {
		return err
	}
	for _, m := range []struct{ kind, dir string }{
		{"bpf", bpffs}, {"tracefs", "/sys/kernel/tracing"}, {"cgroup2", cgroups}, {"tmpfs", "/run"},
	} {
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mounting %s on %s: %w", m.kind, m.dir, err)
		}
	}
	return nil
}

func setUp(name string) error {
	l, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("finding interface %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(l); err != nil {
		return fmt.Errorf("bringing %s up: %w", name, err)
	}
	return nil
}
