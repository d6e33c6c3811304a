// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

func passAll() asm.Instructions {
	return asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()} // XDP_PASS
}

// faultUpdate has every kind of change: swapped, reattached, moved, added, removed.
func faultUpdate(t *testing.T) UpdateOptions {
	return UpdateOptions{Attach: attachments(t, "raw_new=raw_tracepoint:sched_process_exec")}
}

func (b *bench) startFault() schemas.Instance {
	b.t.Helper()
	return b.start(updateImage(b.t, 1), RunOptions{Name: "fault", Attach: attachments(b.t,
		"xdp_see=xdp:"+dev, "tc_see=tc:"+dev+",via=clsact,priority=9", "cgroup_see=none")})
}

// checkOneVersion checks that exactly one of the two versions runs, all of it, and
// says which. Packets are seen once each.
func (b *bench) checkOneVersion(old schemas.Instance) (schemas.Instance, bool) {
	b.t.Helper()
	now, err := b.existing("fault")
	if err != nil {
		b.t.Fatal(err)
	}
	b.checkIntact(*now)
	isNew := now.Digest != old.Digest
	if isNew {
		b.checkReplaced(old, *now)
	} else {
		old.Update, now.Update = nil, nil
		if now.PreviousDigest != "" || now.Updated != nil || now.Programs[0].ID != old.Programs[0].ID {
			b.t.Errorf("the old version is not as it was: %+v", now)
		}
	}
	b.checkSeen(*now, isNew)
	return *now, isNew
}

// checkSeen sends packets and has the version that runs, and no other, see them.
func (b *bench) checkSeen(now schemas.Instance, isNew bool) {
	b.t.Helper()
	for _, place := range []int{placeXDP, placeTC} {
		before := b.seen(now, place)
		send(b.t, peer, 3)
		after := b.seen(now, place)
		version := 0
		if isNew {
			version = 1
		}
		if after[version]-before[version] != 3 || after[1-version] != before[1-version] {
			b.t.Errorf("place %d: seen %v, then %v; the new version runs: %v", place, before, after, isNew)
		}
	}
}

// TestUpdateUndone fails, or cancels, at every step of an update: the old version
// is in place, or once it has been replaced the new one is as soon as the next
// command has looked.
func TestUpdateUndone(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"error", "cancel"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			committed := false
			for n := 1; ; n++ {
				b.disarm()
				old := b.startFault()
				ctx, cancel := context.WithCancel(t.Context())
				s := b.arm(n, func() error {
					if mode == "error" {
						return errInjected
					}
					cancel()
					return nil
				})
				_, err := b.Update(ctx, "fault", updateImage(t, 2), faultUpdate(t))
				cancel()
				b.disarm()
				ended := len(s.seen) < n
				last := s.seen[min(n, len(s.seen))-1]
				// A cancellation that comes with the commit comes too late.
				committed = committed || last == "install pins" || (mode == "cancel" && last == "commit")
				if (err != nil) == (ended || (mode == "cancel" && committed)) {
					t.Fatalf("step %d of %q: error %v", n, s.seen, err)
				}
				if err != nil && !errors.Is(err, errInjected) && !errors.Is(err, context.Canceled) {
					t.Fatalf("step %d of %q: error %v", n, s.seen, err)
				}
				if err != nil && committed {
					b.repairUpdate("doctor")
				}
				now, isNew := b.checkOneVersion(old)
				if isNew != committed {
					t.Fatalf("step %d of %q: the new version runs: %v", n, s.seen, isNew)
				}
				b.stop(now)
				if t.Failed() {
					t.Fatalf("after a failure at step %d of %q", n, s.seen)
				}
				if ended {
					if n < 15 {
						t.Fatalf("only %d steps: %q", n, s.seen)
					}
					return
				}
			}
		})
	}
}

// repairUpdate has a command bring an interrupted update to an end.
func (b *bench) repairUpdate(next string) {
	b.t.Helper()
	var err error
	switch next {
	case "doctor":
		_, err = b.Repair(b.t.Context())
	case "run":
		if _, err = b.Run(b.t.Context(), updateImage(b.t, 1), RunOptions{Name: "fault", Attach: attachments(b.t,
			"xdp_see=none", "tc_see=none", "cgroup_see=none")}); errors.Is(err, ErrExists) {
			err = nil
		}
	case "update":
		// Stops at its first step of its own.
		b.opts.step = func(step string) error {
			if step == "load" {
				return errInjected
			}
			return nil
		}
		b.reopen()
		if _, err = b.Update(b.t.Context(), "fault", updateImage(b.t, 2), faultUpdate(b.t)); errors.Is(err, errInjected) {
			err = nil
		}
		b.disarm()
	}
	if err != nil {
		b.t.Fatalf("%s: %v", next, err)
	}
}

// killUndoing fails an update at its last moment, and kills this process at the nth
// step of undoing it.
func (b *bench) killUndoing(n int) {
	failed := false
	s := &stepper{b: b, n: n, do: func() error { return unix.Kill(os.Getpid(), unix.SIGKILL) }}
	b.opts.step = func(step string) error {
		if failed {
			return s.step(step)
		}
		if step == "commit" {
			failed = true
			return errInjected
		}
		return nil
	}
	b.reopen()
	if _, err := b.Update(b.t.Context(), "fault", updateImage(b.t, 2), faultUpdate(b.t)); !errors.Is(err, errInjected) {
		b.t.Fatal(err)
	}
}

// TestUpdateKilled kills a process with SIGKILL at every step of an update, or of
// undoing one; the next command, each kind in turn, leaves one of the two versions,
// and a stop none.
func TestUpdateKilled(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		do    string
		next  []string
		steps int
	}{
		{"update", []string{"doctor", "run", "update"}, 15},
		{"update", []string{"stop"}, 15},
		{"undone update", []string{"update", "doctor"}, 6},
		{"undone update", []string{"stop"}, 6},
	} {
		t.Run(tc.do+" then "+tc.next[0], func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			for n := 1; ; n++ {
				old := b.startFault()
				killed := b.child(tc.do, n)
				left, err := b.existing("fault")
				if err != nil {
					t.Fatal(err)
				}
				next := tc.next[n%len(tc.next)]
				if killed && next == "stop" {
					b.stop(*left)
					for _, version := range versions(left) {
						version.Name = "fault"
						b.checkGone(*version)
					}
				} else {
					b.checkRepaired(next, old, left, killed)
				}
				if t.Failed() {
					t.Fatalf("killed at step %d, then %s", n, next)
				}
				if !killed {
					if n < tc.steps {
						t.Errorf("only %d steps", n)
					}
					return
				}
			}
		})
	}
}

// checkRepaired has a command repair what is left, and checks that it decides for
// the version that the record names.
func (b *bench) checkRepaired(next string, old schemas.Instance, left *schemas.Instance, killed bool) {
	b.t.Helper()
	if killed {
		b.repairUpdate(next)
	}
	now, isNew := b.checkOneVersion(old)
	if want := left.Digest != old.Digest; isNew != want {
		b.t.Errorf("the new version runs: %v, want %v", isNew, want)
	}
	b.stop(now)
}
