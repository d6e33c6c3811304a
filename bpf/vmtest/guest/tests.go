// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// runTests runs the Go test binaries of dir, one after the other; without -full, a test
// may do with fewer rounds (see [testing.Short]).
func runTests(dir string) error {
	names, err := filepath.Glob(filepath.Join(dir, "*.test"))
	if err != nil {
		return fmt.Errorf("listing %s: %w", dir, err)
	}
	var errs []error
	for _, name := range names {
		cmd := exec.Command(name, "-test.v", fmt.Sprintf("-test.short=%v", !*full), "-test.timeout", scriptsTimeout.String())
		cmd.Dir = "/tmp"
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
