// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import "slices"

// row is one hook put to work by the real bpfimg: run, an event, the effect seen,
// stop, nothing left. What differs between hooks is in here; the work is done by
// one function for all of them.
type row struct {
	// hook is its name in the table of hooks; variant tells several rows of one
	// hook apart, "" for the plain one.
	hook, variant string
	// object is a file of bpf/testdata or examples without ".bpf.o", which is in
	// the registry as testdata/OBJECT:v1.
	object string
	// attach are the values of --attach. $NAME in them is replaced: $DEV and $PEER
	// (the ends of a veth pair, up; what is sent to $PEER arrives at $DEV), $CGROUP
	// (an empty cgroup of version 2), $DIR (an empty folder), and what setup has
	// set with env.set.
	attach []string
	// flags are other flags of `bpfimg run`, with the same replacements.
	flags []string
	// foreground: only a foreground run can hold it, on every kernel.
	foreground bool
	// shipped: the binary that ships is called for it on every kernel, also where other
	// rows share a process: one row of each family.
	shipped bool
	// once: the program has run when `bpfimg run` returns; event is not needed.
	once bool
	// setup makes what the hook needs; env.cleanup undoes it. nil: nothing. An
	// error that is errDevice means that a device is needed.
	setup func(e *env) error
	// event makes what the hook is about happen.
	event func(e *env) error
	// counter is the map whose values count events, summed over all entries; the
	// row works when the sum is 0 before the event and at least atLeast (default
	// 1) after it.
	counter string
	atLeast uint64
	// seen looks for another effect than a counter; nil: the counter alone.
	seen func(e *env) error
}

// family is what rows have in common that need the same of the machine; the binary that
// ships is called for one row of each, on every kernel.
type family struct {
	name string
	rows []row
}

func families() []family {
	return []family{
		{"devices", deviceRows()},
		{"programs in a row", proceedRows()},
		{"routes", routeRows()},
		{"network stack", stackRows()},
		{"tracing", tracingRows()},
		{"probes", probeRows()},
		{"cgroups", cgroupRows()},
		{"newer events of cgroups", cgroupMoreRows()},
		{"sockets", socketRows()},
		{"others", otherRows()},
	}
}

// rows of all families, those of a hook together.
func rows() []row {
	var all []row
	for _, f := range families() {
		all = append(all, f.rows...)
	}
	first := map[string]int{}
	for i, r := range all {
		if _, ok := first[r.hook]; !ok {
			first[r.hook] = i
		}
	}
	slices.SortStableFunc(all, func(a, b row) int { return first[a.hook] - first[b.hook] })
	return all
}
