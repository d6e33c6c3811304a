// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build !windows

package build

import (
	"maps"
	"slices"
	"testing"

	"github.com/cilium/ebpf/cmd/bpf2go/gen"
	"github.com/google/go-cmp/cmp"
)

// TestTargetsAreThoseOfBpf2go: the table is that of the bpf2go we depend on.
func TestTargetsAreThoseOfBpf2go(t *testing.T) {
	t.Parallel()
	want, got := map[string][]string{}, map[string][]string{}
	add := func(ending string, arch gen.GoArch) {
		if ending != "" && arch != "wasm" { // no Linux
			want[ending] = append(want[ending], string(arch))
		}
	}
	targets := gen.TargetsByGoArch()
	for _, arch := range slices.Sorted(maps.Keys(targets)) {
		target := targets[arch]
		if !target.IsGeneric() {
			add(target.Suffix(), arch)
			add(target.ObsoleteSuffix(), arch)
		}
	}
	for _, id := range []string{"bpfel", "bpfeb"} {
		target, arches, err := gen.FindTarget(id)
		if err != nil {
			t.Fatal(err)
		}
		for _, arch := range arches {
			add(target.Suffix(), arch)
		}
	}
	for _, target := range bpf2goTargets {
		for _, ending := range target.endings {
			got[ending] = target.archs
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("endings and architectures (-bpf2go +ours):\n%s", diff)
	}
}
