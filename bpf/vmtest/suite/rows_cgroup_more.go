// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"fmt"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// cgroupMoreRows are the events of a cgroup that came later: those of UNIX
// sockets.
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
	order := orderRow("cgroup_skb", "cgroup_skb:$CGROUP", row{event: func(e *env) error { return e.child("talk", e.cgroup) }})
	order.shipped = true
	return []row{unixSockets, order}
}

// talkUnix is talk between UNIX sockets.
func talkUnix() error {
	return converse(unix.AF_UNIX, unix.SOCK_DGRAM, &unix.SockaddrUnix{Name: fmt.Sprintf("@bpfimg-%d", os.Getpid())})
}
