// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/internal/ownthread"
)

// netns NAME makes a network namespace /run/netns/NAME; netns NAME IFACE moves an
// interface there and brings it up; netns NAME gone has nobody know of the namespace
// any more, which ends it. A namespace ends with its script.
func netns(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "netns NAME [IFACE|gone]")
	path := filepath.Join("/run/netns", args[0])
	switch {
	case len(args) == 1:
		ts.Check(os.MkdirAll(filepath.Dir(path), 0o755))
		ts.Check(os.WriteFile(path, nil, 0o444))
		ts.Defer(func() { _ = endNetns(path) }) // it may be gone already
		ts.Check(ownthread.Do(func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("making a network namespace: %w", err)
			}
			return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
		}))
	case args[1] == "gone":
		ts.Check(endNetns(path))
	default:
		ts.Check(moveTo(path, args[1]))
	}
}

func endNetns(path string) error {
	return errors.Join(unix.Unmount(path, unix.MNT_DETACH), os.Remove(path))
}

// moveTo moves an interface to a network namespace and brings it up.
func moveTo(path, name string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	end, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.LinkSetNsFd(end, int(file.Fd())); err != nil {
		return fmt.Errorf("moving %s to %s: %w", name, path, err)
	}
	return ownthread.Do(func() error {
		if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering %s: %w", path, err)
		}
		there, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(there)
	})
}
