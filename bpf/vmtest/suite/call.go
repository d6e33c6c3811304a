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
	"os/exec"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/bpf/vmtest/served"
)

// process is a call of bpfimg that has begun.
type process interface {
	// Interrupt does what Ctrl-C does.
	Interrupt() error
	// wait waits for its end, after its standard output was read.
	wait() (code int, stderr string, err error)
}

// begin calls bpfimg, which is interrupted when ctx ends: the binary that ships, in a
// process of its own, or the same commands in one process for all rows.
func (g *engine) begin(ctx context.Context, args ...string) (process, io.Reader, error) {
	if g.shipped {
		return beginShipped(g.command(ctx, args...))
	}
	server, err := g.server()
	if err != nil {
		return nil, nil, err
	}
	cmd, err := server.Command(ctx, append([]string{"bpfimg"}, args...)...)
	if err != nil {
		return nil, nil, err
	}
	return servedProcess{cmd}, cmd.Stdout, nil
}

// command prepares a call of the binary that ships, which is interrupted when ctx ends.
func (g *engine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, g.bpfimg, args...)
	cmd.Env = g.environ
	cmd.Dir = g.dir
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// shippedProcess is one of the binary that ships.
type shippedProcess struct {
	cmd    *exec.Cmd
	stderr *strings.Builder
}

func beginShipped(cmd *exec.Cmd) (process, io.Reader, error) {
	p := shippedProcess{cmd, &strings.Builder{}}
	cmd.Stderr = p.stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	return p, stdout, cmd.Start()
}

func (p shippedProcess) Interrupt() error { return p.cmd.Process.Signal(os.Interrupt) }

func (p shippedProcess) wait() (int, string, error) {
	err := p.cmd.Wait()
	if exit := (&exec.ExitError{}); errors.As(err, &exit) {
		return exit.ExitCode(), p.stderr.String(), nil
	}
	return 0, p.stderr.String(), err
}

// servedProcess is a command in the process for all rows. It must free everything by
// itself.
type servedProcess struct{ *served.Command }

func (p servedProcess) wait() (int, string, error) {
	exit, err := p.Wait()
	if err == nil && len(exit.Left) > 0 {
		err = fmt.Errorf("files are left open: %s", strings.Join(exit.Left, ", "))
	}
	return exit.Code, exit.Stderr, err
}

// server is the process for all rows, started when it is first used, and again when
// it has ended: a command that did not end takes it along. That it has is an error of
// [engine.close], in case no row has noticed.
func (g *engine) server() (*served.Client, error) {
	if g.client != nil && !g.client.Gone() {
		return g.client, nil
	}
	if g.client != nil {
		g.ends = errors.Join(g.ends, served.ErrGone, g.client.Close())
		g.client = nil
	}
	cmd := exec.Command(g.served)
	cmd.Env, cmd.Dir, cmd.Stderr = g.environ, g.dir, os.Stderr
	client, err := served.Start(cmd)
	if err != nil {
		return nil, err
	}
	g.client = client
	return client, nil
}

// closeServer ends the process for all rows, if there is one.
func (g *engine) closeServer() error {
	if g.client == nil {
		return g.ends
	}
	return errors.Join(g.ends, g.client.Close())
}

// maxPrinted bounds what is read of a call that ends by itself, in bytes.
const maxPrinted = 16 << 20

// callError is a call of bpfimg that failed.
type callError struct {
	args   []string
	code   int
	stderr string
}

func (e *callError) Error() string {
	return fmt.Sprintf("bpfimg %s: exit code %d: %s", strings.Join(e.args, " "), e.code, strings.TrimSpace(e.stderr))
}

// call calls bpfimg and returns its standard output; the error is a [callError]
// when it failed.
func (g *engine) call(ctx context.Context, args ...string) ([]byte, error) {
	p, stdout, err := g.begin(ctx, args...)
	if err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(stdout, maxPrinted))
	return out, errors.Join(err, ended(p, args))
}

// ended waits for the end of a call; the error is a [callError] when it failed.
func ended(p process, args []string) error {
	code, stderr, err := p.wait()
	switch {
	case err != nil:
		return fmt.Errorf("bpfimg %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr))
	case code != 0:
		return &callError{args: args, code: code, stderr: stderr}
	}
	return nil
}
