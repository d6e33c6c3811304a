// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// sample is what one series of runs of a command took.
type sample struct {
	// median and best wall-clock time of one run.
	median, best time.Duration
	// peak is the largest resident set of any run, in bytes.
	peak int64
}

// step is a command with what must happen, untimed, before and after each run.
type step struct {
	args          []string
	env           []string
	before, after func() error
}

// measure runs the step n times.
func measure(n int, s step) (sample, error) {
	var times []time.Duration
	var out sample
	for range n {
		took, peak, err := once(s)
		if err != nil {
			return out, err
		}
		times = append(times, took)
		out.peak = max(out.peak, peak)
	}
	slices.Sort(times)
	out.best, out.median = times[0], times[n/2]
	return out, nil
}

func once(s step) (time.Duration, int64, error) {
	if s.before != nil {
		if err := s.before(); err != nil {
			return 0, 0, err
		}
	}
	cmd := exec.Command(s.args[0], s.args[1:]...)
	cmd.Env = append(os.Environ(), s.env...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return 0, 0, fmt.Errorf("%v: %w\n%s", s.args, err, output.Bytes())
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, 0, fmt.Errorf("%v: no resource usage", s.args)
	}
	if s.after != nil {
		err = s.after()
	}
	return took, usage.Maxrss << 10, err // getrusage(2): kilobytes
}
