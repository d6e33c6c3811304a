// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"fmt"
	"slices"
)

// cgroupRows attach to all events of one hook together, and want each counted.
func cgroupRows() []row {
	var list []row
	for _, hook := range []string{
		"cgroup_skb", "cgroup_sock", "cgroup_sock_addr", "cgroup_sockopt", "cgroup_sysctl", "cgroup_device", "sockops",
	} {
		r := row{hook: hook, object: "cgroup", event: func(e *env) error { return e.child("talk", e.cgroup) }}
		var watched []int
		for i, event := range cgroupEvents() {
			where := "none"
			if event.hook == hook {
				where = hook + ":$CGROUP"
				watched = append(watched, i)
			}
			r.attach = append(r.attach, "on_"+event.name+"="+where)
		}
		r.seen = func(e *env) error {
			counts, err := e.counts("events")
			for i, n := range counts {
				if slices.Contains(watched, i) != (n > 0) {
					return fmt.Errorf("%s was counted %d times", cgroupEvents()[i].name, n)
				}
			}
			return err
		}
		list = append(list, r)
	}
	return append(list, cgroupMoreRows()...)
}

// cgroupEvents are the programs of cgroup.bpf.c in the order of their counters:
// the part of their name that says which event, and their hook.
func cgroupEvents() []struct{ name, hook string } {
	return []struct{ name, hook string }{
		{"ingress", "cgroup_skb"},
		{"egress", "cgroup_skb"},
		{"sock_create", "cgroup_sock"},
		{"sock_release", "cgroup_sock"},
		{"post_bind4", "cgroup_sock"},
		{"post_bind6", "cgroup_sock"},
		{"bind4", "cgroup_sock_addr"},
		{"bind6", "cgroup_sock_addr"},
		{"connect4", "cgroup_sock_addr"},
		{"connect6", "cgroup_sock_addr"},
		{"sendmsg4", "cgroup_sock_addr"},
		{"sendmsg6", "cgroup_sock_addr"},
		{"recvmsg4", "cgroup_sock_addr"},
		{"recvmsg6", "cgroup_sock_addr"},
		{"getpeername4", "cgroup_sock_addr"},
		{"getpeername6", "cgroup_sock_addr"},
		{"getsockname4", "cgroup_sock_addr"},
		{"getsockname6", "cgroup_sock_addr"},
		{"getsockopt", "cgroup_sockopt"},
		{"setsockopt", "cgroup_sockopt"},
		{"sysctl", "cgroup_sysctl"},
		{"dev", "cgroup_device"},
		{"sockops", "sockops"},
	}
}
