// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// silence is an input of which nothing comes: whoever reads it is interrupted.
type silence struct{ interrupt context.CancelFunc }

func (s silence) Read([]byte) (int, error) {
	s.interrupt()
	select {}
}

// TestPromptsEndWithCtrlC interrupts every question while nobody answers: Go catches
// the signal, so the read that waits for an answer does not end by itself.
func TestPromptsEndWithCtrlC(t *testing.T) {
	for name, ask := range map[string]func(context.Context, *terminal) error{
		"user name": func(ctx context.Context, term *terminal) error {
			_, err := term.askName(ctx, term.in)
			return err
		},
		"password from a pipe": func(ctx context.Context, term *terminal) error {
			_, err := term.password(ctx, "Password: ", false)
			return err
		},
		"--password-stdin": func(ctx context.Context, term *terminal) error {
			_, err := term.readSecret(ctx)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if err := ask(ctx, silentTerminal(silence{cancel})); !errors.Is(err, context.Canceled) {
				t.Errorf("interrupted: %v, want %v", err, context.Canceled)
			}
		})
	}
	t.Run("password on a terminal", interruptPassword)
}

func silentTerminal(in io.Reader) *terminal {
	var out bytes.Buffer
	return &terminal{in: in, out: &out, err: &out, lookup: func(string) (string, bool) { return "", false }}
}

// interruptPassword waits until the terminal echoes nothing, and after the
// interrupt wants it to echo again.
func interruptPassword(t *testing.T) {
	tty, keyboard := openTTY(t)
	before := modes(t, tty)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := silentTerminal(tty).password(ctx, "Password: ", true)
		done <- err
	}()
	for modes(t, tty).Lflag&unix.ECHO != 0 {
		runtime.Gosched()
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v, want %v", err, context.Canceled)
	}
	if after := modes(t, tty); after != before {
		t.Errorf("the terminal is not as it was: %+v, want %+v", after, before)
	}
	// The read that is left over ends, before another file gets its number.
	if _, err := keyboard.WriteString("\n"); err != nil {
		t.Error(err)
	}
}

func modes(t *testing.T, tty *os.File) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

// openTTY makes a terminal where nobody types, and the end where one could. Both
// are closed when nothing refers to them any more.
func openTTY(t *testing.T) (tty, keyboard *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("SKIP-REASON: no pseudo terminals here: ", err)
	}
	if err := unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return tty, keyboard
}
