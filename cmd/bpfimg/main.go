// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Command bpfimg builds, signs, ships, verifies and runs BPF bytecode as OCI
// images. Each command is a thin layer over the packages of this module: flags
// and printing only. One file per command; exit codes are decided in exit.go.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args, newTerminal(os.Stdin, os.Stdout, os.Stderr, os.LookupEnv))
	stop()
	os.Exit(code)
}
