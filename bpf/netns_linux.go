// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/internal/ownthread"
	"github.com/bpfimg/bpfimg/schemas"
)

// ownNetnsFile is the network namespace of the calling thread.
const ownNetnsFile = "/proc/thread-self/ns/net"

// maxNetnsSearch bounds how many processes are looked at for a namespace whose
// file is gone.
const maxNetnsSearch = 65536

// currentNetns is the inode of the calling thread's network namespace.
func currentNetns() (uint64, error) { return netnsInode(ownNetnsFile) }

// netnsInode is the inode of the network namespace whose file path is.
func netnsInode(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0, fmt.Errorf("reading network namespace %s: %w", path, err)
	}
	var in unix.Statfs_t
	if err := unix.Statfs(path, &in); err != nil {
		return 0, fmt.Errorf("reading network namespace %s: %w", path, err)
	}
	if in.Type != unix.NSFS_MAGIC {
		return 0, fmt.Errorf("%s is not the file of a network namespace", path)
	}
	return st.Ino, nil
}

// netnsPath reads the option netns: the path of a namespace's file, or pid:NUMBER
// for that of a process. "" when it is not given.
func netnsPath(p *placement) (string, error) {
	value := p.option(inspect.OptionNetns)
	if value == "" {
		return "", nil
	}
	path, wrong := netnsFile(value)
	if wrong != "" {
		return "", p.usage("option netns is %q; %s", value, wrong)
	}
	if err := findableNetns(path, value); err != nil {
		return "", fmt.Errorf("%s: %w", p, err)
	}
	return path, nil
}

// netnsFile is the file that the value of option netns means, or what is wrong
// with it.
func netnsFile(value string) (path, wrong string) {
	if pid, ok := strings.CutPrefix(value, "pid:"); ok {
		n, err := strconv.ParseUint(pid, 10, 31)
		if err != nil || n == 0 {
			return "", "after pid: comes the number of a process"
		}
		return fmt.Sprintf("/proc/%d/ns/net", n), ""
	}
	if !filepath.IsAbs(value) {
		return "", "it is an absolute path, such as /run/netns/blue, or pid:NUMBER"
	}
	return value, ""
}

// findableNetns says what is wrong with the file path, which value means.
func findableNetns(path, value string) error {
	_, err := netnsInode(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: there is no network namespace %s", ErrNoTarget, value)
	}
	return err
}

// inNetns calls f on a thread in the network namespace whose file path is, or on
// the calling thread when path is "". The thread is not used for anything else
// after that.
func inNetns(path string, f func() error) error {
	if path == "" {
		return f()
	}
	return ownthread.Do(func() error { return enterAnd(path, f) })
}

func enterAnd(path string, f func() error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening network namespace %s: %w", path, err)
	}
	err = unix.Setns(fd, unix.CLONE_NEWNET)
	if err = joined.Errors(err, unix.Close(fd)); err != nil {
		return fmt.Errorf("entering network namespace %s: %w", path, err)
	}
	return f()
}

// findNetns is the path of a file by which the network namespace of l can be
// entered: "" when it is the calling thread's, or l has none. The error is
// fs.ErrNotExist when there is no such file any more.
func findNetns(l schemas.InstanceLink) (string, error) {
	if l.Netns == 0 {
		return "", nil
	}
	own, err := currentNetns()
	if err != nil || own == l.Netns {
		return "", err
	}
	if n, err := netnsInode(l.NetnsPath); l.NetnsPath != "" && err == nil && n == l.Netns {
		return l.NetnsPath, nil
	}
	for _, pattern := range []string{"/run/netns/*", "/var/run/docker/netns/*", "/proc/[0-9]*/ns/net"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return "", fmt.Errorf("looking for a network namespace: %w", err)
		}
		for _, path := range paths[:min(len(paths), maxNetnsSearch)] {
			if n, err := netnsInode(path); err == nil && n == l.Netns {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("network namespace %d: %w", l.Netns, os.ErrNotExist)
}
