// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux && amd64

package main

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// call is a system call that a thread is about to make.
type call struct {
	thread int
	number uint64
	args   [6]uint64
}

// names of the calls that leave something behind, whatever their arguments.
var names = map[uint64]string{
	unix.SYS_MKDIRAT: "mkdirat", unix.SYS_UNLINKAT: "unlinkat", unix.SYS_RENAMEAT: "renameat",
	unix.SYS_LINKAT: "linkat", unix.SYS_SYMLINKAT: "symlinkat", unix.SYS_MOUNT: "mount",
}

// commands of bpf(2) that leave something behind: what loads or creates is gone
// with its descriptor, and not counted.
var commands = map[uint64]string{
	unix.BPF_OBJ_PIN: "BPF_OBJ_PIN", unix.BPF_PROG_ATTACH: "BPF_PROG_ATTACH", unix.BPF_PROG_DETACH: "BPF_PROG_DETACH",
	unix.BPF_LINK_UPDATE: "BPF_LINK_UPDATE", unix.BPF_LINK_DETACH: "BPF_LINK_DETACH",
}

// requests of netlink that change something, by the type of their message.
var requests = []uint16{
	unix.RTM_NEWLINK, unix.RTM_DELLINK, unix.RTM_SETLINK, unix.RTM_NEWQDISC, unix.RTM_DELQDISC,
	unix.RTM_NEWTFILTER, unix.RTM_DELTFILTER,
}

// filter stops a thread before every call that may be one of them (seccomp(2)); to
// stop it before every call there is would take it most of its time.
func filter() []unix.SockFilter {
	const number = 0 // offset in struct seccomp_data (linux/seccomp.h)
	f := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: number}}
	for _, n := range slices.Concat([]uint64{unix.SYS_BPF, unix.SYS_SENDTO}, slices.Collect(maps.Keys(names))) {
		f = append(f,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(n), Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRACE})
	}
	return append(f, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
}

// installFilter makes filter that of the calling thread and of what it starts.
func installFilter() error {
	f := filter()
	program := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("keeping privileges as they are: %w", err)
	}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return fmt.Errorf("installing a filter of system calls: %w", errno)
	}
	return nil
}

// leaves says whether the call leaves something behind.
func (c call) leaves() bool {
	switch c.number {
	case unix.SYS_BPF:
		return commands[c.args[0]] != ""
	case unix.SYS_SENDTO:
		// A message of netlink starts with its length and its type (struct nlmsghdr).
		head := make([]byte, 8)
		if _, err := syscall.PtracePeekData(c.thread, uintptr(c.args[1]), head); err != nil {
			return false
		}
		return slices.Contains(requests, binary.NativeEndian.Uint16(head[4:]))
	}
	return names[c.number] != ""
}

func (c call) String() string {
	switch c.number {
	case unix.SYS_BPF:
		return commands[c.args[0]]
	case unix.SYS_SENDTO:
		return "netlink"
	}
	if name := names[c.number]; name != "" {
		return name
	}
	return fmt.Sprintf("system call %d", c.number)
}
