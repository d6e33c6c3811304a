// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux && amd64

// Command killer runs a program and kills it, by SIGKILL, before the Nth system
// call that leaves something behind when the program is no more: in the kernel, in
// the BPF file system or on disk. So a program is tried that has no hooks for tests,
// such as the one that ships.
//
//	killer N PROGRAM [ARG…]
//	killer all PROGRAM [ARG…]
//
// With all it kills nothing and writes the names of these calls, one a line, in place
// of the program's own output. The status is 0, or 1 when the program ended otherwise
// than it should: by itself, or with an error.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: killer N PROGRAM [ARG...]")
		os.Exit(2)
	}
	// Whoever starts a traced program must be the one, of all threads, that traces
	// it.
	runtime.LockOSThread()
	if err := run(os.Args[1], exec.Command(os.Args[2], os.Args[3:]...)); err != nil {
		fmt.Fprintln(os.Stderr, "killer:", err)
		os.Exit(1)
	}
}

// errEnded says that the program has succeeded.
var errEnded = errors.New("it succeeded before it was killed")

func run(which string, cmd *exec.Cmd) error {
	cmd.Stderr = os.Stderr
	t, err := start(cmd)
	if err != nil {
		return err
	}
	if which == "all" {
		return list(t)
	}
	step, err := strconv.Atoi(which)
	if err != nil {
		return err
	}
	for n := 0; n < step; {
		c, err := t.next()
		if err != nil {
			return err
		}
		if c.leaves() {
			n++
		}
	}
	return t.kill()
}

// list writes what calls the program makes, and lets it.
func list(t *tracer) error {
	for {
		c, err := t.next()
		if errors.Is(err, errEnded) {
			return nil
		}
		if err != nil {
			return err
		}
		if c.leaves() {
			fmt.Println(c)
		}
	}
}
