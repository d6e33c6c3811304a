// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// statsSysctl turns the kernel's counting on for good (admin-guide/sysctl/kernel.rst).
const statsSysctl = "/proc/sys/kernel/bpf_stats_enabled"

// statsEnabled says whether the kernel counts runs all the time.
func statsEnabled() bool {
	value, err := os.ReadFile(statsSysctl)
	return err == nil && strings.TrimSpace(string(value)) == "1"
}

// Measure has the kernel count runs for the time d, or until ctx ends, and then
// lists the instances with what was counted meanwhile. Counting costs every
// program on the machine some tens of nanoseconds a run. Needs Linux 5.8.
func (m *Manager) Measure(ctx context.Context, d time.Duration) ([]Status, error) {
	if err := needBPF("counting runs"); err != nil {
		return nil, err
	}
	counting, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if errors.Is(err, ebpf.ErrNotSupported) {
		return nil, fmt.Errorf("counting runs: %w", unsupported("counting for a while", "5.8"))
	}
	if errors.Is(err, unix.EPERM) {
		return nil, &PermissionError{Op: "counting runs", Capability: "CAP_SYS_ADMIN", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("counting runs: %w", err)
	}
	list, err := m.measure(ctx, d)
	return list, join(err, counting.Close())
}

func (m *Manager) measure(ctx context.Context, d time.Duration) ([]Status, error) {
	before, err := m.List(ctx)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	after, err := m.List(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	earlier := make(map[string]Status, len(before))
	for _, s := range before {
		earlier[s.Name] = s
	}
	for i, s := range after {
		if e := earlier[s.Name]; e.Digest == s.Digest {
			after[i] = s.since(e)
		}
		after[i].Counting = true
	}
	return after, nil
}

// isComponent says whether the program is one of several in an XDP slot. The kernel
// jumps there from the dispatcher and does not count that (the counting is in
// __bpf_prog_run and in trampolines).
func isComponent(rec *schemas.Instance, program string) bool {
	return slices.ContainsFunc(rec.Links, func(l schemas.InstanceLink) bool {
		return l.Program == program && l.Via == viaDispatcher
	})
}

// instanceRuns reads the counters of all programs; a kernel that does not say has
// none.
func instanceRuns(rec *schemas.Instance) []ProgramRuns {
	var out []ProgramRuns
	for _, p := range rec.Programs {
		if isComponent(rec, p.Name) {
			continue
		}
		prog, err := openProgramOf(p)
		if err != nil {
			continue // among the problems
		}
		if stats, err := prog.Stats(); err == nil {
			out = append(out, ProgramRuns{Program: p.Name, Count: stats.RunCount, Time: stats.Runtime, Missed: stats.RecursionMisses})
		}
		prog.Close()
	}
	return out
}
