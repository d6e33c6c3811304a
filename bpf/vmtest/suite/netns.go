// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/internal/ownthread"
)

// peerElsewhere moves $PEER to a new network namespace, whose file $NETNS is.
func peerElsewhere(e *env) error {
	path, err := e.newNetns("bpfimg-suite")
	if err != nil {
		return err
	}
	e.set("NETNS", path)
	peer, err := netlink.LinkByName(e.peer)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := netlink.LinkSetNsFd(peer, int(file.Fd())); err != nil {
		return fmt.Errorf("moving %s to %s: %w", e.peer, path, err)
	}
	return inNetns(path, func() error { return setUp(e.peer) })
}

// newNetns makes a network namespace that is called name, as `ip netns add` does,
// and goes with the row. Interfaces in it have no IPv6.
func (e *env) newNetns(name string) (path string, err error) {
	path = filepath.Join(netnsDir, name)
	if err := os.WriteFile(path, nil, 0o444); err != nil {
		return "", err
	}
	e.cleanup(func() error { return os.Remove(path) })
	err = ownthread.Do(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("naming a network namespace: %w", err)
		}
		err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
		if errors.Is(err, os.ErrNotExist) {
			err = nil
		}
		return err
	})
	if err == nil {
		e.cleanup(func() error { return unix.Unmount(path, unix.MNT_DETACH) })
	}
	return path, err
}

// inNetns calls f on a thread in the network namespace whose file path is.
func inNetns(path string, f func() error) error {
	return ownthread.Do(func() error {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("opening network namespace %s: %w", path, err)
		}
		err = unix.Setns(fd, unix.CLONE_NEWNET)
		if err = errors.Join(err, unix.Close(fd)); err != nil {
			return fmt.Errorf("entering network namespace %s: %w", path, err)
		}
		return f()
	})
}
