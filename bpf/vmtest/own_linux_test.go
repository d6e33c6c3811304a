// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/vmtest"
)

// TestOwnKernel runs the hook suite with the real bpfimg on this machine's
// kernel, in a network and a mount namespace of its own. How a kernel was built
// decides what it can do, so the outcome is compared with the matrix in the docs
// only where that has a column for an own kernel of this version; that a row
// failed is an error on every machine. All rows call the binary that ships: to start it
// takes this machine a twentieth of a second.
func TestOwnKernel(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIP-REASON: runs as root only, it loads BPF programs and mounts file systems")
	}
	t.Parallel()
	bpfimg := goBuild(t, "../../cmd/bpfimg", stripped)
	keys, registry := published(t, bpfimg)
	rows := runSuite(t, goBuild(t, "./suite"), "-mount", "-bpfimg", bpfimg,
		"-key", filepath.Join(keys, "cosign.pub"), "-registry", registry)
	checkRows(t, rows)
	checkShipped(t, rows, true)
	column := ownColumn + ownVersion(t)
	if t.Failed() || !hasColumn(t, column) && !*update {
		return // the docs have another kernel
	}
	checkMatrix(t, map[string][]vmtest.RowResult{column: rows})
}

// ownVersion is this kernel's, without what the one who built it added: "6.18.44".
// Another build of the same version may differ; one of another patch level is
// somebody else's.
func ownVersion(t *testing.T) string {
	t.Helper()
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	release := unix.ByteSliceToString(uts.Release[:])
	version := regexp.MustCompile(`^\d+\.\d+(\.\d+)?`).FindString(release)
	if version == "" {
		t.Fatalf("the kernel calls itself %q", release)
	}
	return version
}

// runSuite runs the suite and returns its rows.
func runSuite(t *testing.T, args ...string) []vmtest.RowResult {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	t.Logf("the suite:\n%s%s", &stdout, &stderr)
	// A row that failed is for checkRows.
	if exit := (&exec.ExitError{}); err != nil && !(errors.As(err, &exit) && exit.ExitCode() == 1) {
		t.Fatal(err)
	}
	rows, err := vmtest.ParseResults(stdout.String())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}
