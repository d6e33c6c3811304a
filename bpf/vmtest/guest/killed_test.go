// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"slices"
	"strings"
	"testing"
)

// TestWorthKilling: where a program is killed that makes these calls.
func TestWorthKilling(t *testing.T) {
	for _, tc := range []struct {
		calls       string
		short, full string // the numbers of the calls, from 0
	}{
		{"mkdirat", "0", "0"},
		{"mkdirat mkdirat renameat mkdirat", "0 2", "0 2 3"},
		{"BPF_OBJ_PIN BPF_OBJ_PIN BPF_OBJ_PIN renameat", "0 2 3", "0 2 3"},
		{"unlinkat unlinkat renameat unlinkat unlinkat unlinkat", "0 2 5", "0 1 2 3 5"},
		{"netlink unlinkat netlink unlinkat netlink", "0 1 3", "0 1 2 3 4"},
	} {
		calls := strings.Fields(tc.calls)
		for _, full := range []bool{false, true} {
			var got []string
			for i := range calls {
				if worthKilling(calls, i, full) {
					got = append(got, string(rune('0'+i)))
				}
			}
			want := strings.Fields(tc.short)
			if full {
				want = strings.Fields(tc.full)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s, full %v: killed before %v, want %v", tc.calls, full, got, want)
			}
		}
	}
}
