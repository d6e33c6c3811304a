// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package ownthread runs what changes the thread it runs on, such as by entering a
// namespace.
package ownthread

import "runtime"

// Do calls f on a thread that nothing else uses, and returns its error.
func Do(f func() error) error {
	result := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with this goroutine, and cannot be met
		// again in the wrong namespace.
		runtime.LockOSThread()
		result <- f()
	}()
	return <-result
}
