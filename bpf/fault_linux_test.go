// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// faultImage has every kind of attachment and two objects.
func faultImage(t *testing.T) RunOptions {
	t.Helper()
	return RunOptions{Name: "fault", MapMode: 0o640, MapGroup: "54321", Attach: attachments(t,
		"xdp_count=xdp:"+dev, "tc_ingress=tc:"+dev+",order=first", "tc_egress=tc:"+dev+",via=clsact,priority=9")}
}

func faultFiles() []string { return []string{objCounter, objTC, objExec} }

var errInjected = errors.New("injected")

// stepper is a step function that does something at the nth step, and keeps the
// record as it was then.
type stepper struct {
	b    *bench
	n    int
	do   func() error
	seen []string
	rec  schemas.Instance
}

func (s *stepper) step(name string) error {
	s.seen = append(s.seen, name)
	if len(s.seen) != s.n {
		return nil
	}
	if rec, err := s.b.record("fault"); err == nil && rec != nil {
		s.rec = *rec
	}
	return s.do()
}

// arm makes the bench's manager act at step n.
func (b *bench) arm(n int, do func() error) *stepper {
	s := &stepper{b: b, n: n, do: do}
	b.opts.step = s.step
	b.reopen()
	return s
}

func (b *bench) disarm() {
	b.opts.step = nil
	b.reopen()
}

// TestRunUndone fails, or cancels, at every step of a run: nothing is left.
func TestRunUndone(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"error", "cancel"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.ownBPFFS()
			for n := 1; ; n++ {
				ctx, cancel := context.WithCancel(t.Context())
				s := b.arm(n, func() error {
					if mode == "error" {
						return errInjected
					}
					cancel()
					return nil
				})
				r, err := b.Run(ctx, verified(t, "x", faultFiles()...), faultImage(t))
				cancel()
				if len(s.seen) < n || (mode == "cancel" && err == nil) {
					if n < 10 || err != nil {
						t.Fatalf("only %d steps, error %v", n, err)
					}
					b.disarm()
					b.stop(r.Instance)
					return
				}
				if want := map[string]error{"error": errInjected, "cancel": context.Canceled}[mode]; !errors.Is(err, want) {
					t.Fatalf("step %d: error %v, want %v", n, err, want)
				}
				s.rec.Name = "fault"
				b.checkGone(s.rec)
				if t.Failed() {
					t.Fatalf("after a failure at step %d of %q", n, s.seen)
				}
			}
		})
	}
}

// TestStopGoesOn fails at every step of a stop: the next stop finishes it, and a
// run in its place clears it away.
func TestStopGoesOn(t *testing.T) {
	t.Parallel()
	for _, next := range []string{"stop", "run"} {
		t.Run(next, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.ownBPFFS()
			for n := 1; ; n++ {
				b.disarm()
				rec := b.start(verified(t, "x", faultFiles()...), faultImage(t))
				s := b.arm(n, func() error { return errInjected })
				err := b.Stop(t.Context(), "fault")
				if len(s.seen) < n {
					if n < 8 || err != nil {
						t.Fatalf("only %d steps, error %v", n, err)
					}
					return
				}
				if !errors.Is(err, errInjected) {
					t.Fatalf("step %d: error %v", n, err)
				}
				b.repair(next, n, rec)
			}
		})
	}
}

// repair brings an interrupted instance to its end, by another stop or run, and
// checks that nothing is left of the one before.
func (b *bench) repair(next string, n int, rec schemas.Instance) {
	b.t.Helper()
	b.disarm()
	if next == "run" {
		r, err := b.Run(b.t.Context(), verified(b.t, "x", faultFiles()...), faultImage(b.t))
		if n == 1 && errors.Is(err, ErrExists) {
			// Interrupted before its first step, a stop has not happened.
			b.stop(rec)
			return
		}
		if err != nil {
			b.t.Fatalf("after step %d: %v", n, err)
		}
		for _, p := range rec.Programs {
			if p.ID != 0 && len(waitGone(b.t.Context(), patience, []uint32{p.ID}, lookForProgram)) > 0 {
				b.t.Fatalf("after step %d: the old program %d is left", n, p.ID)
			}
		}
		rec = r.Instance
	}
	if err := b.Stop(b.t.Context(), "fault"); err != nil && !errors.Is(err, ErrNoInstance) {
		b.t.Fatalf("after step %d: %v", n, err)
	}
	b.checkGone(rec)
}

// Environment of [TestKilledChild].
const (
	envStep  = "BPFIMG_TEST_KILL_AT"
	envDo    = "BPFIMG_TEST_KILL_DO"
	envState = "BPFIMG_TEST_KILL_STATE"
	envBPFFS = "BPFIMG_TEST_KILL_BPFFS"
)

// TestKilledChild is the child of [TestKilled]: it kills itself at a step.
func TestKilledChild(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv(envStep))
	if err != nil {
		t.Skip("SKIP-REASON: runs only as the child of TestKilled")
	}
	b := &bench{t: t, opts: Options{State: os.Getenv(envState), BPFFS: os.Getenv(envBPFFS)}}
	b.arm(n, func() error { return unix.Kill(os.Getpid(), unix.SIGKILL) })
	switch os.Getenv(envDo) {
	case "run":
		_, err = b.Run(t.Context(), verified(t, "x", faultFiles()...), faultImage(t))
	case "foreground":
		opts := faultImage(t)
		opts.Foreground = true
		if _, err = b.Run(t.Context(), verified(t, "x", faultFiles()...), opts); err == nil {
			err = unix.Kill(os.Getpid(), unix.SIGKILL)
		}
	case "stop":
		err = b.Stop(t.Context(), "fault")
	case "update":
		_, err = b.Update(t.Context(), "fault", updateImage(t, 2), faultUpdate(t))
	case "undone update":
		b.killUndoing(n)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestKilled kills a process with SIGKILL at every step of run and stop; the next
// run or stop of that name repairs what is left.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ do, next string }{
		{"run", "stop"}, {"run", "run"}, {"stop", "stop"}, {"stop", "run"}, {"foreground", "stop"}, {"foreground", "run"},
	} {
		t.Run(tc.do+" then "+tc.next, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.ownBPFFS()
			for n := 1; ; n++ {
				var rec schemas.Instance
				if tc.do == "stop" {
					rec = b.start(verified(t, "x", faultFiles()...), faultImage(t))
				}
				killed := b.child(tc.do, n)
				if left, err := b.record("fault"); err == nil && left != nil && tc.do != "stop" {
					rec = *left
				}
				rec.Name = "fault"
				if !killed {
					if n < 6 {
						t.Fatalf("only %d steps", n)
					}
					if tc.do != "stop" {
						b.stop(rec)
					}
					return
				}
				last := tc.do == "foreground" && rec.State == stateRunning
				b.repair(tc.next, n, rec)
				if t.Failed() || last {
					return
				}
			}
		})
	}
}

// child runs [TestKilledChild] and says whether it was killed.
func (b *bench) child(do string, n int) bool {
	b.t.Helper()
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.CommandContext(b.t.Context(), self, "-test.run=^TestKilledChild$")
	cmd.Env = append(os.Environ(), envStep+"="+strconv.Itoa(n), envDo+"="+do, envState+"="+b.opts.State, envBPFFS+"="+b.opts.BPFFS)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == unix.SIGKILL {
			return true
		}
	}
	if err != nil || strings.Contains(string(out), "SKIP") {
		b.t.Fatalf("child: %v\n%s", err, out)
	}
	return false
}
