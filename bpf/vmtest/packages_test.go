// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest_test

import (
	"os"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/vmtest"
)

// TestPackages runs the tests of packages that need more of a kernel than many
// have: on each kernel of BPFIMG_TEST_KERNELS, or on one.
func TestPackages(t *testing.T) {
	t.Parallel()
	versions, must := kernels, false
	if list := os.Getenv("BPFIMG_TEST_KERNELS"); list != "" {
		versions, must = strings.Split(list, ","), true
	}
	found := openKernels(t, versions, must)
	guest := goBuild(t, "./guest", stripped)
	files := map[string]vmtest.File{
		"/bin/tests/dispatcher.test": {Path: goTestBinary(t, "../dispatcher"), Executable: true},
	}
	for _, kernel := range found {
		t.Run(kernel.Version, func(t *testing.T) {
			t.Parallel()
			status, console := boot(t, vmtest.Options{Kernel: kernel, Init: guest, Files: files, Args: guestArgs()})
			if status != 0 {
				t.Errorf("guest status %d, want 0", status)
			}
			// A machine is there for what is skipped elsewhere.
			for line := range strings.Lines(console) {
				if strings.Contains(line, "SKIP-REASON") {
					t.Errorf("skipped in a machine too: %s", line)
				}
			}
		})
	}
}
