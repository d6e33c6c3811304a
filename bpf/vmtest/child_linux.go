// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest

import (
	"os/exec"
	"syscall"
)

// endWithUs has the kernel end cmd when this process is killed, as `go test` does
// after its timeout: a machine would go on computing for nobody.
func endWithUs(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
