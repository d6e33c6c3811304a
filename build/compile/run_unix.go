// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build unix

package compile

import (
	"os/exec"
	"syscall"
)

// ownGroup puts the tool into a process group of its own, all of which is
// killed when its time is over: clang may have started a linker or itself.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
