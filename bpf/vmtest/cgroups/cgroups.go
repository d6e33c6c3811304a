// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package cgroups says what the test object bpf/testdata/cgroup.bpf.c has, for the
// tests that attach it.
//
// Door: [Events].
package cgroups

// Event is one program of the object.
type Event struct {
	// Name is that of the program behind "on_", Hook where it goes.
	Name, Hook string
}

// Events are the programs in the order of their counters.
func Events() []Event {
	return []Event{
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
