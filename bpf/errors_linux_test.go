// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import "testing"

// TestUnknownHelper is about the words of the verifiers of several releases.
func TestUnknownHelper(t *testing.T) {
	for line, want := range map[string]int64{
		"invalid func unknown#211":                                    211,
		"invalid func unknown#181":                                    181,
		"unknown func bpf_loop#181":                                   181,
		"program of this type cannot use helper bpf_get_func_arg#183": 183,
		"program of this type cannot use helper bpf_get_func_arg#":    0,
		"R1 type=scalar expected=ctx":                                 0,
		"3: (85) call bpf_map_lookup_elem#1":                          0,
	} {
		log := []string{"0: R1=ctx() R10=fp0", line, "processed 4 insns (limit 1000000) max_states_per_insn 0"}
		if got := unknownHelper(log); got != want {
			t.Errorf("%s: %d, want %d", line, got, want)
		}
	}
}
