// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

// Command maxrss runs a command and writes to a file how much memory it held at
// most, in KiB: maxrss FILE COMMAND [ARG…]. Linux counts what the process held
// that starts another as held by that one too (setmax_mm_hiwater_rss in
// fs/exec.c), so a large process, such as a test, must start it through a small
// one.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

func main() {
	code, err := run(os.Args[1], exec.Command(os.Args[2], os.Args[3:]...))
	if err != nil {
		fmt.Fprintln(os.Stderr, "maxrss:", err)
		os.Exit(125)
	}
	os.Exit(code)
}

func run(file string, cmd *exec.Cmd) (int, error) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		return 0, err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return 0, errors.New("no usage of resources is known")
	}
	return cmd.ProcessState.ExitCode(), os.WriteFile(file, []byte(strconv.FormatInt(usage.Maxrss, 10)), 0o600)
}
