// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/vmtest"
)

// kernels are the versions tested when nobody chooses: one, since each takes
// minutes and `go test ./...` ends after ten. CI and `make test-kernels` choose all
// columns of the matrix.
var kernels = []string{"6.12"}

// TestKernels runs testdata/scripts and the hook suite with the real bpfimg on
// each kernel, and compares what came of the suite with the matrix in the docs.
// BPFIMG_TEST_KERNELS, a list such as "6.1,6.12", chooses kernels, and makes a
// missing kernel or qemu a failure.
func TestKernels(t *testing.T) {
	t.Parallel()
	versions, must := kernels, false
	if list := os.Getenv("BPFIMG_TEST_KERNELS"); list != "" {
		versions, must = strings.Split(list, ","), true
	}
	found := openKernels(t, versions, must)
	guest := goBuild(t, "./guest", stripped)
	files := guestFiles(t, goBuild(t, "../../cmd/bpfimg", stripped))
	results := make([][]vmtest.RowResult, len(found))
	t.Run("on", func(t *testing.T) { // ends when all machines are off
		for i, kernel := range found {
			t.Run(kernel.Version, func(t *testing.T) {
				t.Parallel()
				status, console := boot(t, vmtest.Options{Kernel: kernel, Init: guest, Files: files, Args: guestArgs()})
				if status != 0 {
					t.Errorf("guest status %d, want 0", status)
				}
				if *onlyScripts != "" {
					return
				}
				var err error
				if results[i], err = vmtest.ParseResults(console); err != nil {
					t.Fatal(err)
				}
				checkRows(t, results[i])
				checkShipped(t, results[i], *full)
			})
		}
	})
	if t.Failed() || *onlyScripts != "" {
		return // and no matrix is written
	}
	byColumn := map[string][]vmtest.RowResult{}
	for i, kernel := range found {
		byColumn[kernel.Version] = results[i]
	}
	checkMatrix(t, byColumn)
}

// TestBootReportsFailure makes sure that a script that fails cannot pass.
func TestBootReportsFailure(t *testing.T) {
	t.Parallel()
	kernel := openKernels(t, kernels[:1], false)[0]
	guest := goBuild(t, "./guest", stripped)
	for _, tc := range []struct {
		name, script string
		want         int
	}{
		{"passes", "touch a b\nunlink a\n! exists a\nexists b\n[!since:1.0] stop\n[since:99.0] unlink a\n", 0},
		{"fails", "unlink missing\n", 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			files := map[string]vmtest.File{"/scripts/one.txtar": {Data: []byte(tc.script)}}
			if status, _ := boot(t, vmtest.Options{Kernel: kernel, Init: guest, Files: files}); status != tc.want {
				t.Errorf("guest status %d, want %d", status, tc.want)
			}
		})
	}
}

// TestBootCrash boots a first process that the kernel cannot run.
func TestBootCrash(t *testing.T) {
	t.Parallel()
	kernel := openKernels(t, kernels[:1], false)[0]
	init := filepath.Join(t.TempDir(), "init")
	if err := os.WriteFile(init, []byte("not a program"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := vmtest.Boot(t.Context(), vmtest.Options{Kernel: kernel, Init: init})
	if !errors.Is(err, vmtest.ErrNoStatus) || !strings.Contains(err.Error(), "Kernel panic") {
		t.Errorf("got error %v, want %v and the kernel's last words", err, vmtest.ErrNoStatus)
	}
}

func openKernels(t *testing.T, versions []string, must bool) []vmtest.Kernel {
	t.Helper()
	stop := t.Fatalf
	if !must {
		stop = t.Skipf
	}
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		stop("SKIP-REASON: the virtual machines are linux/amd64 and so must the host be; run `make test-kernels` there")
	}
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		stop("SKIP-REASON: qemu-system-x86_64 is not installed; run `make test-kernels`")
	}
	dir, err := vmtest.KernelDir()
	if err != nil {
		t.Fatal(err)
	}
	var found []vmtest.Kernel
	for _, version := range versions {
		kernel, err := vmtest.OpenKernel(dir, version)
		if errors.Is(err, vmtest.ErrNoKernel) {
			stop("SKIP-REASON: %v; run `make test-kernels`", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, kernel)
	}
	return found
}

// boot boots with the console in the test's log, and returns it.
func boot(t *testing.T, opts vmtest.Options) (status int, console string) {
	t.Helper()
	var log bytes.Buffer
	opts.Log = &log
	result, err := vmtest.Boot(t.Context(), opts)
	t.Logf("kernel %s, off after %.1f s, %.1f s of them computing:\n%s",
		opts.Kernel.Version, result.Took.Seconds(), result.Processor.Seconds(), log.String())
	if err != nil {
		t.Fatal(err)
	}
	return result.Status, log.String()
}

// checkRows fails the test for every row that failed, and when there is none.
func checkRows(t *testing.T, rows []vmtest.RowResult) {
	t.Helper()
	if len(rows) == 0 {
		t.Error("the suite reported no row")
	}
	for _, r := range rows {
		if r.Outcome == vmtest.Failed {
			t.Errorf("%s %s: %s", r.Hook, r.Variant, r.Detail)
		}
	}
}

// shippedRows is how many rows call the binary that ships on every kernel.
const shippedRows = 10

// checkShipped makes sure that all rows called the binary that ships, or so many, one of
// them in the foreground and, on a kernel that lacks something, one that was refused.
func checkShipped(t *testing.T, rows []vmtest.RowResult, all bool) {
	t.Helper()
	count, of := map[bool]int{}, map[bool]map[vmtest.Outcome]int{true: {}, false: {}}
	for _, r := range rows {
		count[r.Shipped]++
		of[r.Shipped][r.Outcome]++
	}
	switch {
	case all && count[false] > 0:
		t.Errorf("%d rows did not call the binary that ships", count[false])
	case !all && count[true] != shippedRows:
		t.Errorf("%d rows called the binary that ships, want %d", count[true], shippedRows)
	}
	for _, outcome := range []vmtest.Outcome{vmtest.WorksForeground, vmtest.Lacks} {
		if of[true][outcome] == 0 && of[false][outcome] > 0 {
			t.Errorf("no row that called the binary that ships has the outcome %q, others have", outcome)
		}
	}
}
