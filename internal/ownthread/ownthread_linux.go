// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package ownthread

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Do calls f on a thread that nothing else uses and that ends after it, and returns
// its error.
func Do(f func() error) error {
	result := make(chan error, 1)
	go func() { result <- do(f) }()
	return <-result
}

// do is called on a goroutine of its own.
func do(f func() error) error {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// The main thread cannot end before the process: it would stay in a namespace,
		// and keep that, for as long. While this goroutine has it, f gets another one.
		defer runtime.UnlockOSThread()
		return Do(f)
	}
	// Never unlocked: the thread ends with this goroutine, and cannot be met again in
	// the wrong namespace.
	return f()
}
