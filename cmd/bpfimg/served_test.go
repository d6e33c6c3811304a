// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/vmtest/served"
)

// servedCommands is what this test binary does under the name bpfimg-served: it runs
// command lines as main does, all in one process (see package served). Inside the
// machines of bpf/vmtest, starting bpfimg takes longer than most of what it does.
func servedCommands() {
	if err := served.Serve(os.Stdin, os.Stdout, runServed); err != nil {
		fmt.Fprintln(os.Stderr, "bpfimg-served:", err)
		os.Exit(1)
	}
}

// runServed is main, with other streams: nothing to read, and no terminal.
func runServed(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return run(ctx, args, &terminal{
		in: strings.NewReader(""), out: &escaper{w: stdout}, err: &escaper{w: stderr}, lookup: os.LookupEnv,
	})
}

// TestServed: in a process with others, a command prints the same and ends with the same
// code as in one of its own.
func TestServed(t *testing.T) {
	server := startServed(t)
	for _, args := range [][]string{
		{"bpfimg", "version"},
		{"bpfimg", "run"},
		{"bpfimg", "inspect", "no-such-file.o", "-o", "json"},
		{"bpfimg", "--root", t.TempDir(), "images", "-o", "json"},
		{"bpfimg", "--root", "/dev/null/state", "ps"},
	} {
		own := exec.CommandContext(t.Context(), args[0], args[1:]...)
		var stderr strings.Builder
		own.Stderr = &stderr
		stdout, err := own.Output()
		if exit := (&exec.ExitError{}); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		cmd, err := server.Command(t.Context(), args...)
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(cmd.Stdout)
		if err != nil {
			t.Fatal(err)
		}
		exit, err := cmd.Wait()
		if err != nil || string(out) != string(stdout) || exit.Stderr != stderr.String() || exit.Code != own.ProcessState.ExitCode() {
			t.Errorf("%q: a process of its own printed\n%s%s and ended with %d; the other printed\n%s and ended with %+v: %v",
				args, stdout, &stderr, own.ProcessState.ExitCode(), out, exit, err)
		}
		if len(exit.Left) > 0 {
			t.Errorf("%q: left open: %q", args, exit.Left)
		}
	}
}

// TestServedInterrupt ends a command that goes on until it is interrupted.
func TestServedInterrupt(t *testing.T) {
	server := startServed(t)
	cmd, err := server.Command(t.Context(), "bpfimg", "registry", "serve", "--address", "127.0.0.1:0", "--dir", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(cmd.Stdout).ReadString('\n'); err != nil || !strings.Contains(line, " on http://") {
		t.Errorf("it said %q: %v", line, err)
	}
	err = cmd.Interrupt()
	exit, waitErr := cmd.Wait()
	if err := errors.Join(err, waitErr); err != nil || exit.Code != exitDone || len(exit.Left) > 0 {
		t.Errorf("it ended with %+v: %v", exit, err)
	}
}

func startServed(t *testing.T) *served.Client {
	t.Helper()
	cmd := exec.Command("bpfimg-served")
	cmd.Stderr = os.Stderr
	server, err := served.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("the server: %v", err)
		}
	})
	return server
}
