// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package ownthread_test

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/internal/ownthread"
)

// fromMain is the thread f was on when Do was called on the main one.
var fromMain int

// Before main only, a goroutine can be sure to be on the main thread, and stay.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) {
	runtime.UnlockOSThread()
	_ = ownthread.Do(func() error { fromMain = unix.Gettid(); return nil })
	os.Exit(m.Run())
}

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

// TestNotMain: the main thread would stay in the namespace that f entered.
func TestNotMain(t *testing.T) {
	if fromMain == unix.Getpid() {
		t.Error("f ran on the main thread")
	}
}
