// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package ownthread_test

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/internal/ownthread"
)

func TestDo(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	want := errors.New("as f says")
	if err := ownthread.Do(func() error { return want }); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	mine, other := unix.Gettid(), 0
	if err := ownthread.Do(func() error { other = unix.Gettid(); return nil }); err != nil {
		t.Fatal(err)
	}
	if mine == other {
		t.Error("f ran on the thread of its caller")
	}
}
