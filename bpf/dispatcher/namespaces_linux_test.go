// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"
)

// TestProcessesEnd searches while processes come and go: one that ends is not one
// that cannot be seen.
func TestProcessesEnd(t *testing.T) {
	look := func() error {
		s := newSearch()
		return errors.Join(s.processes(t.Context()), s.open(t.Context()))
	}
	if err := look(); errors.Is(err, ErrBlind) {
		t.Skipf("SKIP-REASON: runs where every process is to be seen: %v", err)
	}
	self, err := os.Executable()
	check(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var children sync.WaitGroup
	for range 4 {
		children.Go(func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, self, "-test.run", "^$").Run()
			}
		})
	}
	defer children.Wait()
	defer stop()
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for range rounds {
		if err := look(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEndedMeanwhile(t *testing.T) {
	there := t.TempDir()
	for _, test := range []struct {
		path string
		err  error
		want bool
	}{
		{there, ErrBlind, false},
		{there + "/gone", ErrBlind, true},
		{there + "/gone", os.ErrClosed, false},
	} {
		if got := endedMeanwhile(test.path, test.err); got != test.want {
			t.Errorf("%s, %v: %v, want %v", test.path, test.err, got, test.want)
		}
	}
}
