// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
)

// ProgramRuns is what the kernel counted of one program, while it counted: that
// is when the sysctl kernel.bpf_stats_enabled is 1, or during [Manager.Measure].
type ProgramRuns struct {
	Program string `json:"program"`
	// Count of runs, and Time spent in them in nanoseconds (Linux 5.8).
	Count uint64        `json:"count"`
	Time  time.Duration `json:"nanoseconds"`
	// Missed counts the times it did not run because it was running already
	// (Linux 5.12).
	Missed uint64 `json:"missed,omitempty"`
}

// Average time of a run, 0 when there was none.
func (r ProgramRuns) Average() time.Duration {
	if r.Count == 0 {
		return 0
	}
	return r.Time / time.Duration(r.Count)
}

// Description is all there is to say of one instance.
type Description struct {
	Status
	// ProgramDetails and MapDetails are what the kernel says, in the order of
	// Programs and Maps; without those it does not have any more.
	ProgramDetails []ProgramDetail `json:"programDetails"`
	MapDetails     []MapDetail     `json:"mapDetails"`
	// Orders say where the programs run now among those of the same place; those
	// that are in no list have none.
	Orders []ProgramOrder `json:"orders,omitempty"`
	// MapMemory is the sum over MapDetails, in bytes.
	MapMemory uint64 `json:"mapMemory"`
}

// ProgramOrder is where a program runs among those of the same place.
type ProgramOrder struct {
	Program string `json:"program"`
	schemas.InstanceOrder
}

// ProgramDetail is what the kernel says of a loaded program. What it does not
// say, being older, is 0.
type ProgramDetail struct {
	Name string `json:"name"`
	// ID, and those of the maps it uses.
	ID   uint32   `json:"id"`
	Maps []uint32 `json:"maps,omitempty"`
	// UID loaded it, LoadedAfter the boot.
	UID         uint32        `json:"uid"`
	LoadedAfter time.Duration `json:"loadedAfterNanoseconds,omitempty"`
	// Translated and Jited are sizes in bytes: of the code after the verifier's
	// rewriting, and of machine code (0: interpreted).
	Translated int    `json:"translatedBytes,omitempty"`
	Jited      uint32 `json:"jitedBytes,omitempty"`
	// Verified counts the instructions the verifier walked through (Linux 5.16).
	Verified uint32 `json:"verifiedInstructions,omitempty"`
	// Memory it is charged with, in bytes.
	Memory uint64 `json:"memory,omitempty"`
}

// MapDetail is what the kernel says of a map.
type MapDetail struct {
	Name       string `json:"name"`
	ID         uint32 `json:"id"`
	Type       string `json:"type"`
	KeySize    uint32 `json:"keySize"`
	ValueSize  uint32 `json:"valueSize"`
	MaxEntries uint32 `json:"maxEntries"`
	// Flags are those of BPF_MAP_CREATE (linux/bpf.h, BPF_F_*).
	Flags uint32 `json:"flags,omitempty"`
	// Frozen maps cannot be written from user space.
	Frozen bool `json:"frozen,omitempty"`
	// Memory the kernel has taken for it, in bytes: exact since Linux 6.4.
	Memory uint64 `json:"memory"`
}

// Finding is something that [Manager.Examine] found wrong.
type Finding struct {
	// Instance it is about, "" when it is about none.
	Instance string `json:"instance,omitempty"`
	// Problem in a sentence, and what can be done in another.
	Problem string `json:"problem"`
	Remedy  string `json:"remedy"`
	// Fixable says that [Manager.Repair] can do it without taking anything away
	// that works.
	Fixable bool `json:"fixable"`
	// Fixed says that it has been done, and Error why not.
	Fixed bool   `json:"fixed,omitempty"`
	Error string `json:"error,omitempty"`

	// Note is something worth knowing about the machine, and nothing wrong.
	Note bool `json:"note,omitempty"`

	fix func(context.Context) error
}

// runsOf finds the counts of one program.
func runsOf(list []ProgramRuns, program string) ProgramRuns {
	for _, r := range list {
		if r.Program == program {
			return r
		}
	}
	return ProgramRuns{Program: program}
}

// since is what happened after earlier was read.
func (s Status) since(earlier Status) Status {
	runs := make([]ProgramRuns, len(s.Runs))
	for i, r := range s.Runs {
		runs[i] = r.since(runsOf(earlier.Runs, r.Program))
	}
	s.Runs = runs
	return s
}

// since is what was counted after earlier was read.
func (r ProgramRuns) since(earlier ProgramRuns) ProgramRuns {
	return ProgramRuns{
		Program: r.Program, Count: r.Count - earlier.Count, Time: r.Time - earlier.Time, Missed: r.Missed - earlier.Missed,
	}
}
