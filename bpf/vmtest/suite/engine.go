// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/bpf/vmtest/served"
)

// rowTimeout bounds one row, which takes a second or two on an emulated
// processor.
const rowTimeout = 60 * time.Second

// options of the suite; each is a flag of its command line.
type options struct {
	bpfimg, key, registry string
	// served is the process for all rows; "" has every row call the binary that ships.
	served       string
	mount, alone bool
}

// engine runs rows, one after the other.
type engine struct {
	options
	// address of the registry, host:port.
	address string
	// dir holds the state of bpfimg and the folders of rows; cgroups is a mount
	// of cgroup2 with a folder of the suite's own.
	dir, cgroups string
	environ      []string
	undo         []func() error
	// shipped: the row calls the binary that ships, in a process for each call. Else
	// client runs the same commands in one process, which knows from the rows before
	// what the kernel supports.
	shipped bool
	client  *served.Client
	// ends are those of processes before it, which ended without being told to.
	ends error
}

// newEngine prepares the system and starts the registry.
func newEngine(ctx context.Context, opts options) (_ *engine, err error) {
	g := &engine{options: opts}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if g.dir, err = os.MkdirTemp("", "bpfimg-suite-"); err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	g.undo = append(g.undo, func() error { return os.RemoveAll(g.dir) })
	if err := g.prepareSystem(); err != nil {
		return nil, err
	}
	g.environ = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + g.dir, "TMPDIR=" + g.dir,
		"BPFIMG_ROOT=" + filepath.Join(g.dir, "state"), "BPFIMG_BPFFS=" + pins,
	}
	g.undo = append(g.undo, g.closeServer)
	return g, g.serve(ctx)
}

// close undoes everything, last come first.
func (g *engine) close() error {
	var errs []error
	for len(g.undo) > 0 {
		last := len(g.undo) - 1
		errs = append(errs, g.undo[last]())
		g.undo = g.undo[:last]
	}
	return errors.Join(errs...)
}

// serve starts the registry on a free port and stops it at the end.
func (g *engine) serve(ctx context.Context) error {
	cmd := g.command(ctx, "registry", "serve", "--address", "127.0.0.1:0", "--dir", g.registry)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("starting the registry: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the registry: %w", err)
	}
	g.undo = append(g.undo, func() error {
		err := cmd.Process.Signal(os.Interrupt)
		if waitErr := cmd.Wait(); waitErr != nil {
			err = errors.Join(err, fmt.Errorf("the registry: %w: %s", waitErr, stderr.String()))
		}
		return err
	})
	line, err := bufio.NewReader(io.LimitReader(stdout, 4096)).ReadString('\n')
	_, address, ok := strings.Cut(strings.TrimSpace(line), " on http://")
	if err != nil || !ok {
		return fmt.Errorf("the registry said %q: %w: %s", line, err, stderr.String())
	}
	g.address = address
	return nil
}
