// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// Environment of [TestFilterRaceChild].
const (
	envRace      = "BPFIMG_TEST_RACE"
	envRaceState = "BPFIMG_TEST_RACE_STATE"
	envRacePins  = "BPFIMG_TEST_RACE_BPFFS"
)

// filterRounds is how often each of two processes adds and removes its filter.
const filterRounds = 40

// TestFilterRaceChild is one of the processes of [TestFilterRace].
func TestFilterRaceChild(t *testing.T) {
	name := os.Getenv(envRace)
	if name == "" {
		t.Skip("SKIP-REASON: runs only as the child of TestFilterRace")
	}
	b := &bench{t: t, opts: Options{State: os.Getenv(envRaceState), BPFFS: os.Getenv(envRacePins)}}
	b.reopen()
	for range filterRounds {
		rec := b.verdict(name, "plain", tcUnspec, ",via=clsact")
		if err := b.Stop(t.Context(), rec.Name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFilterRace has two processes add and remove filters on one interface, of one
// state folder and of two: no filter is lost, also none of somebody else, and at the
// end the qdisc is there if somebody else needs it.
func TestFilterRace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		separate bool
		foreign  bool
	}{{"one state folder", false, false}, {"two state folders", true, false}, {"and a filter of tc", true, true}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if tc.foreign {
				addU32(t, "ip", 5)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var racers []*exec.Cmd
			for i := range 2 {
				cmd := raceChild(ctx, t, b, i, tc.separate)
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				racers = append(racers, cmd)
			}
			for _, cmd := range racers {
				if err := cmd.Wait(); err != nil {
					t.Errorf("%v\n%s", err, cmd.Stdout)
				}
			}
			if !tc.foreign {
				b.checkNoFilters()
				return
			}
			if f := filters(t); len(f) != 1 || f[0].Type() != "u32" {
				t.Errorf("filters: %v", f)
			}
		})
	}
}

// checkNoFilters checks that no filter is left; an empty qdisc may be, of two that
// each left it to the other.
func (b *bench) checkNoFilters() {
	b.t.Helper()
	used, err := clsactUsed(uint32(netlinkByName(b.t, dev).Attrs().Index))
	if err != nil || used {
		b.t.Errorf("filters are left: %v, %v", used, err)
	}
}

// TestFilterRaceTight is the part of it in which a filter can be lost, again and
// again without loading anything: adding a filter, and perhaps the qdisc, and
// removing them.
func TestFilterRaceTight(t *testing.T) {
	b := newBench(t)
	here, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	var racers errgroup.Group
	for i := range 2 {
		prog, err := tinyProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS}, tcUnspec)
		if err != nil {
			t.Fatal(err)
		}
		defer prog.Close()
		racers.Go(func() error {
			// The thread ends with the goroutine, and does not get out of the namespace.
			runtime.LockOSThread()
			if err := netns.Set(here); err != nil {
				return err
			}
			return raceTightly(t.Context(), &removal{m: b.Manager, rec: &schemas.Instance{}}, "racer"+strconv.Itoa(i), prog)
		})
	}
	if err := racers.Wait(); err != nil {
		t.Error(err)
	}
	b.checkNoFilters()
}

// raceTightly adds and removes a filter many times.
func raceTightly(ctx context.Context, r *removal, name string, prog *ebpf.Program) error {
	dev, err := netlink.LinkByName(dev)
	if err != nil {
		return err
	}
	for range 500 {
		p := &placement{hook: tcHook{}, link: schemas.InstanceLink{
			Program: name, Hook: "tc", Target: dev.Attrs().Name, Ifindex: uint32(dev.Attrs().Index), Options: map[string]string{"direction": "ingress"},
		}}
		if err := prepareClsact(p); err != nil {
			return err
		}
		if err := attachClsact(ctx, tcHook{}, &host{}, p, prog); err != nil {
			return err
		}
		p.link.CreatedQdisc = true // in every round, else it soon is there to stay
		named, err := loadedAs(p, prog)
		if err != nil {
			return err
		}
		if gone := clsactGone(tcHook{}, p.link, named); gone != "" {
			return errors.New(gone)
		}
		if err := removeClsact(ctx, tcHook{}, r, p.link, named); err != nil {
			return err
		}
	}
	return nil
}

// TestQdiscLocked is about a stop while somebody is about to add a filter, and a run
// while somebody holds the lock for good: both go on, and the qdisc stays.
func TestQdiscLocked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	rec := b.clsact("x", "")
	if !rec.Links[0].CreatedQdisc {
		t.Fatal("the qdisc is not of the instance")
	}
	for _, how := range []int{unix.LOCK_SH, unix.LOCK_EX} {
		lock, err := lockQdiscs(t.Context(), how)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Stop(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		if kind, err := ingressQdisc(uint32(netlinkByName(t, dev).Attrs().Index)); err != nil || kind != "clsact" {
			t.Errorf("the qdisc is %q now (%v)", kind, err)
		}
		// The second instance found the qdisc there, and will not touch it.
		if rec.Links[0].CreatedQdisc && !strings.Contains(b.log.String(), "leaving an empty clsact qdisc") {
			t.Errorf("not said: %s", b.log)
		}
		rec = b.clsact("x", "")
		if err := lock.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Stop(t.Context(), rec.Name); err != nil {
		t.Error(err)
	}
}

// raceChild prepares the ith process.
func raceChild(ctx context.Context, t *testing.T, b *bench, i int, separate bool) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	state, pins := b.opts.State, b.opts.BPFFS
	if separate {
		state, pins = t.TempDir(), pins+"-"+strconv.Itoa(i)
		t.Cleanup(func() { _ = os.Remove(pins) })
	}
	cmd := exec.CommandContext(ctx, self, "-test.run=^TestFilterRaceChild$")
	cmd.Env = append(os.Environ(), envRace+"=racer"+strconv.Itoa(i), envRaceState+"="+state, envRacePins+"="+pins)
	out := &strings.Builder{}
	cmd.Stdout, cmd.Stderr = out, out
	return cmd
}
