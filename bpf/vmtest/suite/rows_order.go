// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import "fmt"

// orderRow attaches two programs to one place, the second of which is to run
// first, and has packets say who did: each program appends its number to the mark,
// and counts what it found there.
func orderRow(hook, place string, r row) row {
	r.hook, r.variant, r.object, r.counter = hook, "order=first", "order", "before"
	kind, other := "on_tc", "on_cgroup"
	if hook == "cgroup_skb" {
		kind, other = other, kind
	}
	r.attach = []string{
		kind + "=" + place, kind + "_too=" + place + ",order=first", other + "=none", other + "_too=none",
	}
	r.seen = func(e *env) error {
		found, err := e.counts("before")
		if err != nil {
			return err
		}
		// 7 is the number of the second program.
		if len(found) != 4 {
			return fmt.Errorf("the map has %d entries", len(found))
		}
		if found[0] != 7 || found[2] != 0 || found[1] == 0 || found[1] != found[3] {
			return fmt.Errorf("the first program found mark %o in the last of %d packets, and the second %o in that of %d; want 7 and 0",
				found[0], found[1], found[2], found[3])
		}
		return nil
	}
	return r
}
