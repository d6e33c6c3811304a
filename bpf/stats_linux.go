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

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/pause"
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
	return measured(ctx, d, m.List, statusesSince)
}

// statusesSince are those of after with what was counted since before.
func statusesSince(after, before []Status) []Status {
	earlier := make(map[string]Status, len(before))
	for _, s := range before {
		earlier[statusKey(s)] = s
	}
	for i, s := range after {
		if e := earlier[statusKey(s)]; e.Digest == s.Digest {
			after[i] = s.since(e)
		}
		after[i].Counting = true
	}
	return after
}

// statusKey tells apart what is listed: instances by name, programs of others by
// id.
func statusKey(s Status) string {
	if s.Name == "" && len(s.Programs) > 0 {
		return fmt.Sprint(s.Programs[0].ID)
	}
	return s.Name
}

// measured has the kernel count runs for the time d, or until ctx ends, and reads
// before and after that.
func measured[T any](ctx context.Context, d time.Duration, read func(context.Context) (T, error), since func(after, before T) T) (T, error) {
	var none T
	if err := needBPF("counting runs"); err != nil {
		return none, err
	}
	counting, err := ebpf.EnableStats(unix.BPF_STATS_RUN_TIME)
	if errors.Is(err, ebpf.ErrNotSupported) {
		return none, fmt.Errorf("counting runs: %w", unsupported("counting for a while", "5.8"))
	}
	if errors.Is(err, unix.EPERM) {
		return none, &PermissionError{Op: "counting runs", Capability: "CAP_SYS_ADMIN", Err: err}
	}
	if err != nil {
		return none, fmt.Errorf("counting runs: %w", err)
	}
	before, err := read(ctx)
	if err != nil {
		return none, joined.Errors(err, counting.Close())
	}
	_ = pause.For(ctx, d) // what was counted until it was cut short is told
	after, err := read(context.WithoutCancel(ctx))
	if err = joined.Errors(err, counting.Close()); err != nil {
		return none, err
	}
	return since(after, before), nil
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
