// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"os"
	"testing"
)

func TestForeground(t *testing.T) {
	b := newBench(t)
	opts := faultImage(t)
	opts.Foreground = true
	r, err := b.Run(t.Context(), verified(t, "x", faultFiles()...), opts)
	if err != nil {
		t.Fatal(err)
	}
	send(t, peer, 2)
	if d, text := b.dump("fault", "pkts"); countOf(t, d) != "2" {
		t.Errorf("dump: %s", text)
	}
	if _, err := os.Lstat(b.pinDir("fault")); err == nil {
		t.Error("a foreground run has pins")
	}
	if st, err := b.Get(t.Context(), "fault"); err != nil || len(st.Problems) > 0 {
		t.Errorf("%+v, %v", st, err)
	}
	wantError(t, b.Stop(t.Context(), "fault"), nil, "runs in the foreground of process "+itoa(os.Getpid()))
	_, err = b.Run(t.Context(), verified(t, "x", faultFiles()...), opts)
	wantError(t, err, ErrExists)
	if err := b.StopAll(t.Context()); err != nil {
		t.Errorf("stop --all: %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	b.checkGone(r.Instance)
	if err := r.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

func TestStopAll(t *testing.T) {
	b := newBench(t)
	first := b.start(verified(t, "first", objCounter), RunOptions{Iface: dev})
	second := b.start(verified(t, "second", objExec), RunOptions{})
	if err := b.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.checkGone(first)
	b.checkGone(second)
	if all, err := b.List(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}
