// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/rogpeppe/go-internal/testscript"
)

// nobpf waits until the kernel holds no BPF program or link and no pin. The
// kernel frees them a moment after the last reference is gone. Nothing else in
// the machine uses BPF.
func nobpf(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 0, "nobpf")
	if err := poll(noBPF); err != nil {
		ts.Fatalf("still there: %v", err)
	}
}

func noBPF() error {
	switch id, err := ebpf.ProgramGetNextID(0); {
	case err == nil:
		return fmt.Errorf("program %d", id)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("listing programs: %w", err)
	}
	links := new(link.Iterator)
	defer links.Close()
	if links.Next() {
		return fmt.Errorf("link %d", links.ID)
	}
	if err := links.Err(); err != nil {
		return fmt.Errorf("listing links: %w", err)
	}
	return filepath.WalkDir("/sys/fs/bpf", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) { // went away meanwhile
			return nil
		}
		if err == nil && !d.IsDir() {
			err = fmt.Errorf("pin %s", path)
		}
		return err
	})
}
