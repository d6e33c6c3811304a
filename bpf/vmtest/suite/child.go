// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// childArgument makes the suite a child that does one thing and ends.
const childArgument = "child"

// children are what a child can be told to do, by name.
func children() map[string]func() error {
	return map[string]func() error{
		"nothing": func() error { return nil },
		"call":    callProbed,
		"obey":    obey,
		"talk":    talk,

		"talkunix": talkUnix,
	}
}

func child(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one argument, got %d", len(args))
	}
	do := children()[args[0]]
	if do == nil {
		return fmt.Errorf("nothing is called %q", args[0])
	}
	return do()
}

// child has another process do something, in the cgroup whose folder it is, or
// in the suite's own when that is "".
func (e *env) child(what, cgroup string) error {
	cmd := exec.Command(e.vars["SELF"], childArgument, what)
	// A probe of a return leaves an address on the stack that Go does not know;
	// nothing may look at the stack then.
	cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1", "GOGC=off")
	if cgroup != "" {
		dir, err := os.Open(cgroup)
		if err != nil {
			return err
		}
		defer dir.Close()
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("child %s: %w: %s", what, err, out)
	}
	return nil
}

// probedCalls is how often a child calls what is probed.
const probedCalls = 3

// probed is what rows put probes on: main.probed of $SELF.
//
//go:noinline
func probed(n int) int { return n + 1 }

func callProbed() error {
	n := 0
	for range probedCalls {
		n = probed(n)
	}
	if n != probedCalls {
		return fmt.Errorf("%d calls returned %d", probedCalls, n)
	}
	return nil
}
