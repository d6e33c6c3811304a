// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/vmtest/served"
)

// standInVariable makes this test binary one that stands in for bpfimg: with arguments
// for a process of its own, without for the process for all rows.
const standInVariable = "BPFIMG_TEST_STAND_IN"

func TestMain(m *testing.M) {
	if os.Getenv(standInVariable) == "" {
		os.Exit(m.Run())
	}
	if len(os.Args) > 1 {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		os.Exit(standIn(ctx, os.Args, os.Stdout, os.Stderr))
	}
	if err := served.Serve(os.Stdin, os.Stdout, standIn); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// kept keeps what is left open from the garbage collector.
var kept *os.File

func standIn(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	switch args[1] {
	case "print":
		fmt.Fprint(stdout, args[2])
	case "refuse":
		fmt.Fprintln(stderr, args[2])
		return exitKernel
	case "leave":
		kept, _ = os.Open(args[2])
	case "run": // in the foreground
		fmt.Fprintln(stdout, `{"name":"held"}`)
		<-ctx.Done()
		fmt.Fprintln(stderr, "interrupted")
		return len(args) - 2
	case "die":
		os.Exit(exitKernel)
	}
	return 0
}

// standInEngine calls the stand-in, in the one or the other way.
func standInEngine(t *testing.T, shipped bool) *engine {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	g := &engine{
		options: options{bpfimg: self, served: self}, shipped: shipped,
		dir: t.TempDir(), environ: append(os.Environ(), standInVariable+"=1"),
	}
	g.undo = append(g.undo, g.closeServer)
	t.Cleanup(func() {
		if err := g.close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func both(t *testing.T, f func(t *testing.T, g *engine)) {
	t.Run("a process for each", func(t *testing.T) { f(t, standInEngine(t, true)) })
	t.Run("one process", func(t *testing.T) { f(t, standInEngine(t, false)) })
}

// TestCalls: both ways of calling bpfimg give the same answers.
func TestCalls(t *testing.T) {
	both(t, func(t *testing.T, g *engine) {
		if out, err := g.call(t.Context(), "print", "text"); err != nil || string(out) != "text" {
			t.Errorf("got %q, %v", out, err)
		}
		_, err := g.call(t.Context(), "refuse", "error: hook x: needs Linux 9.9 or newer, this is 6.1")
		if lack := lackOf(err); lack == nil || lack.what != "hook x: needs Linux 9.9 or newer" {
			t.Errorf("what the kernel lacks is not read from: %v", err)
		}
	})
}

// TestHold: both ways have a run held until it is interrupted, and read its end.
func TestHold(t *testing.T) {
	both(t, func(t *testing.T, g *engine) {
		for code := range 2 {
			in, err := g.hold(t.Context(), append([]string{"run"}, make([]string, code)...))
			if err != nil || in.record.Name != "held" {
				t.Fatalf("got %+v, %v", in, err)
			}
			err = in.stop(t.Context())
			call := &callError{}
			switch isCall := errors.As(err, &call); {
			case code == 0 && err != nil:
				t.Errorf("it ended with 0: %v", err)
			case code != 0 && (!isCall || call.code != code || call.stderr != "interrupted\n"):
				t.Errorf("it ended with %d: %v", code, err)
			}
		}
		if _, err := g.hold(t.Context(), []string{"refuse", "why"}); err == nil || !strings.Contains(err.Error(), "exit code 5: why") {
			t.Errorf("a run that is refused: %v", err)
		}
	})
}

// TestLeftOpen: a command of the process for all rows that leaves a file open fails.
func TestLeftOpen(t *testing.T) {
	g := standInEngine(t, false)
	if _, err := g.call(t.Context(), "leave", "/dev/zero"); err == nil || !strings.Contains(err.Error(), "files are left open: /dev/zero ") {
		t.Errorf("got %v", err)
	}
	if _, err := g.call(t.Context(), "print", ""); err != nil {
		t.Errorf("the next command: %v", err)
	}
}

// TestServerEnds: the end of the process for all rows fails the call, which is no answer
// of bpfimg's. The next row has another process, and the suite fails in the end.
func TestServerEnds(t *testing.T) {
	g := standInEngine(t, false)
	_, err := g.call(t.Context(), "die")
	if !errors.Is(err, served.ErrGone) || lackOf(err) != nil {
		t.Errorf("got %v, want %v", err, served.ErrGone)
	}
	if _, err := g.call(t.Context(), "print", ""); err != nil {
		t.Errorf("the next command: %v", err)
	}
	if err := g.close(); !errors.Is(err, served.ErrGone) {
		t.Errorf("at the end: %v, want %v", err, served.ErrGone)
	}
}
