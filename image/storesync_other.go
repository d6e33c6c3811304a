// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build !linux

package image

import "os"

// openDisk returns nil: there is no call here that syncs a whole file system and
// waits for it.
func openDisk(string) *os.File { return nil }

// syncDisk is never called with a file here.
func syncDisk(*os.File) (done bool, err error) { return false, nil }
