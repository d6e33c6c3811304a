// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
)

// Environment of [TestOrderRaceChild].
const (
	envRaceKind   = "BPFIMG_TEST_RACE_KIND"
	envRaceTarget = "BPFIMG_TEST_RACE_TARGET"
	envRaceSeed   = "BPFIMG_TEST_RACE_SEED"
)

// raceRounds is how often each process attaches and detaches. Detaching from tcx
// waits for all processors, and from a cgroup does not.
func raceRounds(kind string) int {
	if kind == "tc" {
		return 120
	}
	return 3000
}

// race has one process attach and detach programs with all kinds of wishes while
// others do the same to the list. Its own programs must always run in the order
// asked for, whatever of the others is in between, and none may get lost.
func (l *line) race(seed uint64) {
	l.t.Helper()
	l.shared = true
	dice := rand.New(rand.NewPCG(seed, seed))
	base, priorities := []string(nil), map[string]int{}
	for i := range 2 {
		name := "base" + strconv.Itoa(i)
		l.add(name, nil)
		base = insert(base, name, nil, priorities)
	}
	for round := range raceRounds(l.hook) {
		all := wishes(base, l.hook)
		wish, name := all[dice.IntN(len(all))], "extra"
		known := map[string]int{}
		for k, v := range priorities {
			known[k] = v
		}
		want := insert(slices.Clone(base), name, wish, known)
		if l.hook == "cgroup_skb" {
			want = insert(slices.Clone(base), name, wish, map[string]int{})
		}
		l.add(name, wish)
		if got := l.own(); !slices.Equal(got, want) {
			l.t.Fatalf("round %d: %s: the kernel runs %v of them, want %v", round, l, got, want)
		}
		l.drop()
		if got := l.own(); !slices.Equal(got, base) {
			l.t.Fatalf("round %d: %s: the kernel runs %v of them, want %v", round, l, got, base)
		}
	}
	for range 2 {
		l.drop()
	}
}

// own are the names the kernel lists that are of this process.
func (l *line) own() []string {
	return slices.DeleteFunc(l.names(), func(name string) bool { return name == "?" })
}

// raceLine is the list that both processes change.
func raceLine(t *testing.T, kind, target string) *line {
	t.Helper()
	if kind == "cgroup" {
		return cgroupLine(t, target)
	}
	return tcLine(t, target, "ingress")
}

// TestOrderRaceChild is the other process of [TestOrderRace].
func TestOrderRaceChild(t *testing.T) {
	seed, err := strconv.ParseUint(os.Getenv(envRaceSeed), 10, 64)
	if err != nil {
		t.Skip("SKIP-REASON: runs only as the child of TestOrderRace")
	}
	raceLine(t, os.Getenv(envRaceKind), os.Getenv(envRaceTarget)).race(seed)
}

// TestOrderRace has two more processes change the same list.
func TestOrderRace(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"tcx", "cgroup"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			newBench(t)
			target := dev
			if kind == "cgroup" {
				_, target = ownCgroup(t)
			} else {
				needTCX(t)
			}
			l := raceLine(t, kind, target)
			var children []*exec.Cmd
			var outputs []*strings.Builder
			for seed := range 2 {
				cmd := exec.CommandContext(t.Context(), must[string](t)(os.Executable()), "-test.run=^TestOrderRaceChild$")
				cmd.Env = append(os.Environ(), envRaceKind+"="+kind, envRaceTarget+"="+target, envRaceSeed+"="+strconv.Itoa(seed+1))
				out := &strings.Builder{}
				cmd.Stdout, cmd.Stderr = out, out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				children, outputs = append(children, cmd), append(outputs, out)
			}
			l.race(3)
			for i, cmd := range children {
				if err := cmd.Wait(); err != nil || strings.Contains(outputs[i].String(), "SKIP") {
					t.Errorf("child: %v\n%s", err, outputs[i])
				}
			}
			if left := l.query(); len(left) > 0 {
				t.Errorf("programs %v are left", left)
			}
		})
	}
}

// TestOrderStale has the list change between reading it and attaching, a few times
// and then for ever.
func TestOrderStale(t *testing.T) {
	t.Parallel()
	newBench(t)
	needTCX(t)
	l := tcLine(t, dev, "ingress")
	l.add("1", nil)
	l.add("2", nil)
	index := netlinkByName(t, dev).Attrs().Index
	for _, changes := range []int{1, 5, orderTries} {
		var other held
		p := l.placement(map[string]string{"before": "2"})
		if err := p.hook.prepare(t.Context(), l.host, p); err != nil {
			t.Fatal(err)
		}
		prog := l.program()
		place := tcxLineup(p, prog)
		attach, tries := place.attach, 0
		place.attach = func(s spot, revision uint64) (link.Link, error) {
			if tries++; tries <= changes {
				if other.link != nil {
					must[int](t)(0, joined.Errors(other.link.Detach(), other.link.Close(), other.prog.Close()))
				}
				other.prog = l.program()
				other.link = must[link.Link](t)(link.AttachTCX(link.TCXOptions{
					Interface: index, Program: other.prog, Attach: ebpf.AttachTCXIngress, Anchor: link.Head(),
				}))
			}
			return attach(s, revision)
		}
		made, err := l.host.attachInOrder(t.Context(), p, place)
		if changes == orderTries {
			wantError(t, err, errChanging, "come and go")
		} else if err != nil || tries != changes+1 {
			t.Errorf("%d changes: %d tries, %v", changes, tries, err)
		} else {
			want := []string{"?", "1", "?", "2"}
			if got := l.names(); !slices.Equal(got, want) || *p.link.Order != (schemas.InstanceOrder{Position: 3, Of: 4}) {
				t.Errorf("%d changes: the kernel runs %v, want %v; recorded %+v", changes, got, want, p.link.Order)
			}
			must[int](t)(0, joined.Errors(made.Detach(), made.Close()))
		}
		must[int](t)(0, joined.Errors(other.link.Detach(), other.link.Close(), other.prog.Close(), prog.Close()))
	}
	l.drop()
	l.drop()
}
