// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// cgroupMoreRows are the events of a cgroup that came later: those of UNIX
// sockets, and decisions of security modules.
func cgroupMoreRows() []row {
	unixSockets := row{
		hook: "cgroup_sock_addr", variant: "UNIX sockets", object: "cgroup_unix",
		event: func(e *env) error { return e.child("talkunix", e.cgroup) },
		seen: func(e *env) error {
			counts, err := e.counts("events")
			if i := slices.Index(counts, 0); i >= 0 {
				return fmt.Errorf("event %d was not counted: %v", i, counts)
			}
			return err
		},
	}
	for _, event := range []string{"connect", "sendmsg", "recvmsg", "getpeername", "getsockname"} {
		unixSockets.attach = append(unixSockets.attach, "on_"+event+"_unix=cgroup_sock_addr:$CGROUP")
	}
	return []row{unixSockets, {
		hook: "lsm_cgroup", object: "lsm_cgroup", attach: []string{"on_bind=lsm_cgroup:$CGROUP"},
		event: func(e *env) error { return e.child("forbidden", e.cgroup) }, counter: "binds",
	}}
}

// talkUnix is talk between UNIX sockets.
func talkUnix() error {
	return converse(unix.AF_UNIX, unix.SOCK_DGRAM, &unix.SockaddrUnix{Name: fmt.Sprintf("@bpfimg-%d", os.Getpid())})
}

// bindForbidden wants the program of lsm_cgroup.bpf.c to forbid a port and allow
// another.
func bindForbidden() error {
	for _, tc := range []struct {
		port int
		want error
	}{{tcpPort, unix.EPERM}, {0, nil}} {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if err := unix.Bind(fd, loopback(tc.port)); !errors.Is(err, tc.want) {
			return fmt.Errorf("binding port %d: %v, want %v", tc.port, err, tc.want)
		}
	}
	return nil
}
