// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build !linux

package vmtest

import "os/exec"

// endWithUs does nothing where there is no such thing.
func endWithUs(*exec.Cmd) {}
