// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"fmt"
	"slices"

	"github.com/bpfimg/bpfimg/bpf/vmtest/cgroups"
)

// cgroupRows attach to all events of one hook together, and want each counted.
func cgroupRows() []row {
	var list []row
	for _, hook := range []string{
		"cgroup_skb", "cgroup_sock", "cgroup_sock_addr", "cgroup_sockopt", "cgroup_sysctl", "cgroup_device", "sockops",
	} {
		r := row{hook: hook, object: "cgroup", shipped: hook == "cgroup_sock_addr", event: func(e *env) error { return e.child("talk", e.cgroup) }}
		var watched []int
		for i, event := range cgroups.Events() {
			where := "none"
			if event.Hook == hook {
				where = hook + ":$CGROUP"
				watched = append(watched, i)
			}
			r.attach = append(r.attach, "on_"+event.Name+"="+where)
		}
		r.seen = func(e *env) error {
			counts, err := e.counts("events")
			for i, n := range counts {
				if slices.Contains(watched, i) != (n > 0) {
					return fmt.Errorf("%s was counted %d times", cgroups.Events()[i].Name, n)
				}
			}
			return err
		}
		list = append(list, r)
	}
	return list
}
