// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Of a child process that [TestKilled] starts.
const (
	childStep = "BPFIMG_TEST_CHILD_STEP" // where it dies
	childIf   = "BPFIMG_TEST_CHILD_IFINDEX"
	childOp   = "BPFIMG_TEST_CHILD_OPERATION"
	childFew  = "BPFIMG_TEST_CHILD_FEW" // set: as few cycles as with -short

	childHolds = "hold" // a step: it does nothing until its input ends
)

func TestMain(m *testing.M) {
	if os.Getenv(childStep) != "" {
		child()
	}
	os.Exit(m.Run())
}

// child does what operations names and kills itself at a step.
func child() {
	ifindex, _ := strconv.Atoi(os.Getenv(childIf))
	step := os.Getenv(childStep)
	if step == childHolds {
		_, _ = io.Copy(io.Discard, os.Stdin) // with open what it was given
		os.Exit(0)
	}
	err := rlimit.RemoveMemlock()
	if err != nil {
		panic(err)
	}
	d, err := Open(context.Background(), Options{At: func(now string) error {
		if now == step {
			return unix.Kill(os.Getpid(), unix.SIGKILL)
		}
		return nil
	}})
	if err != nil {
		panic(err)
	}
	target, function, err := d.Target()
	if err != nil {
		panic(err)
	}
	probe, err := loadProbe(target, function)
	if err != nil {
		panic(err)
	}
	n := New{Program: probe, ProceedOn: ProceedOnPass}
	if os.Getenv(childOp) == "cycle" {
		err = cycle(context.Background(), d, ifindex, n)
	} else {
		err = operations[os.Getenv(childOp)](context.Background(), d, ifindex, n)
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

// cycles are how often a process of [TestTwoProcesses] adds and removes its program.
func cycles() int {
	if os.Getenv(childFew) != "" {
		return 3
	}
	return 10
}

// cycle adds a program and removes it, again and again, as commands do: each with
// the lock of its own.
func cycle(ctx context.Context, first *Dispatchers, ifindex int, n New) error {
	if err := first.Close(); err != nil {
		return err
	}
	once := func(f func(*Dispatchers) error) error {
		d, err := Open(ctx, Options{})
		if err != nil {
			return err
		}
		return errors.Join(f(d), d.Close())
	}
	info, err := n.Program.Info()
	if err != nil {
		return err
	}
	id, _ := info.ID()
	for range cycles() {
		err := once(func(d *Dispatchers) error { _, err := d.Add(ctx, ifindex, "", n); return err })
		if err == nil {
			err = once(func(d *Dispatchers) error { return d.Remove(ctx, ifindex, uint32(id)) })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// operations are all that change something, on the first program of a chain.
var operations = map[string]func(ctx context.Context, d *Dispatchers, ifindex int, n New) error{
	"add": func(ctx context.Context, d *Dispatchers, ifindex int, n New) error {
		_, err := d.Add(ctx, ifindex, "", n)
		return err
	},
	"remove": func(ctx context.Context, d *Dispatchers, ifindex int, _ New) error {
		s, err := Read(ctx, ifindex)
		if err != nil {
			return err
		}
		return d.Remove(ctx, ifindex, s.Chain.Programs[0].ID)
	},
	"exchange": func(ctx context.Context, d *Dispatchers, ifindex int, n New) error {
		s, err := Read(ctx, ifindex)
		if err != nil {
			return err
		}
		_, err = d.Exchange(ctx, ifindex, s.Chain.Programs[0].ID, n)
		return err
	},
}

// faults calls f for every step of every operation that changes a chain in another
// way: the first program and a second one, the last and the one before, one of two.
func faults(t *testing.T, f func(t *testing.T, l *lab, operation, step string)) {
	for operation, sizes := range map[string][]int{"add": {0, 1}, "remove": {1, 2}, "exchange": {2}} {
		do := operations[operation]
		for _, programs := range sizes {
			t.Run(fmt.Sprintf("%s with %d", operation, programs), func(t *testing.T) {
				l := newLab(t)
				var steps []string
				d := l.open(func(step string) error { steps = append(steps, step); return nil })
				for i := range programs {
					l.add(d, sample{me: uint32(i), priority: uint32(i)})
				}
				steps = nil
				// Find the steps, and put back what was there.
				check(t, do(t.Context(), d, l.ifindex, l.component(d, sample{me: 9, priority: 9})))
				found := slices.Clone(steps)
				if len(found) < 2 {
					t.Fatalf("only the steps %q", found)
				}
				l.reset(d, programs)
				check(t, d.Close())
				// No subtests: these would run on other threads, and the namespace is
				// this one's.
				for _, step := range found {
					f(t, l, operation, step)
				}
			})
		}
	}
}

// reset makes the chain one of that many programs again.
func (l *lab) reset(d *Dispatchers, programs int) {
	l.t.Helper()
	if c := l.read().Chain; c != nil {
		for _, p := range c.Programs {
			check(l.t, d.Remove(l.t.Context(), l.ifindex, p.ID))
		}
	}
	for i := range programs {
		l.add(d, sample{me: uint32(i), priority: uint32(i)})
	}
}

func TestFaults(t *testing.T) {
	faults(t, func(t *testing.T, l *lab, operation, step string) {
		before, pins := l.read(), l.pins()
		broken := errors.New("broken")
		d := l.open(func(now string) error {
			if now == step {
				return broken
			}
			return nil
		})
		err := operations[operation](t.Context(), d, l.ifindex, l.component(d, sample{me: 9, priority: 9}))
		if !errors.Is(err, broken) {
			t.Errorf("%s: got %v, want %v", step, err, broken)
		}
		if after := l.read(); !reflect.DeepEqual(after, before) {
			t.Errorf("%s: the state is %+v, want %+v", step, after, before)
		}
		if now := l.pins(); !slices.Equal(now, pins) {
			t.Errorf("%s: pins %q, want %q", step, now, pins)
		}
		check(t, d.Close())
	})
}

// TestKilled kills a process at every step: the chain runs as before or as after
// the operation, and the next command finds what is left.
func TestKilled(t *testing.T) {
	faults(t, func(t *testing.T, l *lab, operation, step string) {
		before := l.read()
		cmd := l.child(operation, step)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != -1 {
			t.Fatalf("%s: the child was not killed: %v\n%s", step, err, out)
		}
		d := l.open(nil) // the kernel dropped its lock
		if _, err := d.Stale(t.Context()); err != nil {
			t.Fatal(err)
		}
		l.expectPins()
		after := l.read()
		if step != "unpin" && !reflect.DeepEqual(after, before) {
			t.Errorf("%s: the state is %+v, want %+v", step, after, before)
		}
		if after.Chain != nil && len(after.Chain.Programs) == 0 {
			t.Errorf("%s: nothing is linked to %+v", step, after.Chain)
		}
		if step == "unpin" { // the exchange is done
			n := 0
			if before.Chain != nil {
				n = len(before.Chain.Programs)
			}
			l.reset(d, n)
		}
		check(t, d.Close())
	})
}

// child is a process that does the operation in this namespace.
func (l *lab) child(operation, step string) *exec.Cmd {
	cmd := exec.CommandContext(l.t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), childStep+"="+step, childIf+"="+strconv.Itoa(l.ifindex), childOp+"="+operation)
	return cmd
}

// TestTwoProcesses has several processes add and remove programs at the same time
// while packets arrive: the one that is there all the time meets each of them.
func TestTwoProcesses(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	base := l.component(d, sample{me: 1, verdict: 1, priority: 0, name: "!first"})
	_, err := d.Add(t.Context(), l.ifindex, "", base)
	check(t, err)
	check(t, d.Close())
	stop := l.traffic()
	var children []*exec.Cmd
	outputs := make([]bytes.Buffer, 3)
	for i := range outputs {
		cmd := l.child("cycle", "none")
		if testing.Short() {
			cmd.Env = append(cmd.Env, childFew+"=1")
		}
		cmd.Stdout, cmd.Stderr = &outputs[i], &outputs[i]
		check(t, cmd.Start())
		children = append(children, cmd)
	}
	for i, cmd := range children {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v\n%s", i, err, &outputs[i])
		}
	}
	l.expectCount(stop(), base)
	l.expect(1)
	l.expectPins()
}

// since says whether the kernel is that new.
func since(t *testing.T, major, minor int) bool {
	t.Helper()
	var uts unix.Utsname
	check(t, unix.Uname(&uts))
	var a, b int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &a, &b); err != nil {
		t.Fatal(err)
	}
	return a > major || a == major && b >= minor
}

// version1 loads testdata/version1.bpf.c.
func (l *lab) version1() *ebpf.Program {
	l.t.Helper()
	spec := l.spec("version1")
	values := spec.Maps[configMap]
	values.Key, values.Value = nil, nil
	m, err := ebpf.NewMap(values)
	check(l.t, err)
	l.t.Cleanup(func() { _ = m.Close() })
	main := spec.Programs[mainFunction]
	for i := range main.Instructions {
		if main.Instructions[i].IsLoadFromMap() {
			check(l.t, main.Instructions[i].AssociateMap(m))
		}
	}
	var metadata *btf.Datasec
	check(l.t, spec.Types.TypeByName(metadataSection, &metadata))
	prog, err := loadWithTypes(main, metadata)
	check(l.t, err)
	l.t.Cleanup(func() { _ = prog.Close() })
	return prog
}

// TestStaleKeepsOpen: a dispatcher that a process has open may be about to be
// attached.
func TestStaleKeepsOpen(t *testing.T) {
	l := newBareLab(t)
	d := l.open(nil)
	prog, _, err := loadDispatcher(config{})
	check(t, err)
	folder := filepath.Join(l.bpffs, "xdp", folderName(l.ifindex, idOf(t, prog)))
	check(t, os.Mkdir(folder, 0o700))
	fd, err := unix.Dup(prog.FD())
	check(t, err)
	check(t, prog.Close())
	file := os.NewFile(uintptr(fd), "dispatcher")
	cmd := l.child("", childHolds)
	cmd.ExtraFiles = []*os.File{file}
	input, err := cmd.StdinPipe()
	check(t, err)
	defer input.Close()
	check(t, cmd.Start())
	check(t, file.Close())
	stale, err := d.Stale(t.Context())
	if errors.Is(err, ErrBlind) {
		t.Skipf("SKIP-REASON: runs where every process is to be seen: %v", err)
	}
	check(t, err)
	if len(stale) != 0 {
		t.Errorf("%q was removed, and a process has the dispatcher open", stale)
	}
	check(t, input.Close())
	check(t, cmd.Wait())
	stale, err = d.Stale(t.Context())
	check(t, err)
	if !slices.Equal(stale, []string{folder}) {
		t.Errorf("%q was removed, want %s", stale, folder)
	}
}

func TestStaleKeepsOthers(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	l.add(d, sample{me: 1})
	pins := l.pins()
	// From another network namespace the interface is not to be seen.
	done := make(chan error)
	go func() { done <- staleElsewhere(d) }()
	check(t, <-done)
	if now := l.pins(); !slices.Equal(now, pins) {
		t.Errorf("pins %q, want %q", now, pins)
	}
	// What only looks like a folder of pins stays.
	for _, name := range []string{"dispatch-1-x", "dispatch-01-1", "other"} {
		check(t, os.Mkdir(filepath.Join(l.bpffs, "xdp", name), 0o700))
	}
	_, err := d.Stale(t.Context())
	check(t, err)
	if now := l.pins(); len(now) != len(pins)+3 {
		t.Errorf("pins %q, want also %q", strings.Join(now, " "), pins)
	}
}
