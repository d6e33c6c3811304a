// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/bpf/probes"
	"github.com/bpfimg/bpfimg/schemas"
)

func kprobePlacement(hook, target string) *placement {
	return &placement{spec: &ebpf.ProgramSpec{}, link: schemas.InstanceLink{Program: "p", Hook: hook, Target: target}}
}

func TestParseKprobe(t *testing.T) {
	for target, want := range map[string]struct {
		function string
		offset   uint64
		err      error
	}{
		"do_unlinkat":       {"do_unlinkat", 0, nil},
		"do_unlinkat+0x1f":  {"do_unlinkat", 31, nil},
		"schedule.isra.0+4": {"schedule.isra.0", 4, nil},
		"do_unlinkat+":      {"", 0, ErrUsage},
		"do_unlinkat+-4":    {"", 0, ErrUsage},
		"+4":                {"", 0, ErrUsage},
		"do_*":              {"", 0, ErrUsage},
	} {
		function, offset, err := parseKprobe(kprobePlacement("kprobe", target))
		if function != want.function || offset != want.offset || !errors.Is(err, want.err) {
			t.Errorf("%s: got %q, %d, %v", target, function, offset, err)
		}
	}
	err := kprobeHook{ret: true}.prepare(t.Context(), &host{}, kprobePlacement("kretprobe", "do_unlinkat+0x4"))
	wantError(t, err, ErrUsage, "without an offset")
}

// TestMatchingFunctions looks patterns up on this kernel; that they can be probed
// is for kernels with fprobes, in virtual machines.
func TestMatchingFunctions(t *testing.T) {
	needRoot(t)
	h := &host{log: slog.New(slog.DiscardHandler)}
	found, err := matchingFunctions(h, "vfs_?nlin*")
	if err != nil || !slices.Contains(found.kernel, "vfs_unlink") {
		t.Errorf("got %v, %v", found, err)
	}
	for _, name := range found.kernel {
		if !probes.Match("vfs_?nlin*", name) {
			t.Errorf("got %q", name)
		}
	}
	if found, err := matchingFunctions(h, "*"); err != nil || found.count() != maxFunctions+1 {
		t.Errorf("all: got %d, %v", found.count(), err)
	}
	for _, k := range []struct {
		pattern string
		target  error
		words   string
	}{
		{"no_such_*", ErrNoTarget, `matches "no_such_*"`},
		{"no_such", ErrNoTarget, `no function "no_such"`},
		{"*", ErrUsage, "more than 10000 functions"},
	} {
		wantError(t, kprobeMultiHook{}.prepare(t.Context(), h, kprobePlacement("kprobe.multi", k.pattern)), k.target, k.words)
	}
}

func TestSyscallFunction(t *testing.T) {
	got, err := syscallFunction("unlinkat")
	if err != nil || !strings.HasSuffix(got, "_sys_unlinkat") {
		t.Errorf("got %q, %v", got, err)
	}
	wantError(t, ksyscallHook{}.prepare(t.Context(), &host{}, kprobePlacement("ksyscall", "no_such")), ErrNoTarget, `no system call "no_such"`)
}
