// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// cgroupLine is the list of a cgroup's programs for outgoing packets.
func cgroupLine(t *testing.T, dir string) *line {
	t.Helper()
	if !haveCgroupOrder() {
		t.Skip("SKIP-REASON: needs a kernel with order in cgroups (Linux 6.17)")
	}
	f := must[*os.File](t)(os.Open(dir))
	t.Cleanup(func() { _ = f.Close() })
	return &line{
		t: t, host: &host{}, hook: "cgroup_skb", target: dir,
		spec:    ebpf.ProgramSpec{Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetEgress},
		options: map[string]string{"direction": "egress"},
		query:   queried(t, link.QueryOptions{Target: int(f.Fd()), Attach: ebpf.AttachCGroupInetEgress}),
	}
}

// onCgroup are the options of a run of one program that is number on dir.
func onCgroup(t *testing.T, number int, dir, options string) RunOptions {
	t.Helper()
	return RunOptions{
		Name: fmt.Sprint("i", number), Set: []schemas.VariableSetting{{Name: "number", Value: strconv.Itoa(number)}},
		Attach: attachments(t, "on_cgroup=cgroup_skb:"+dir+options, "on_tc=none", "on_tc_too=none", "on_cgroup_too=none"),
	}
}

// leaving is the list of programs of a cgroup for what leaves, and a packet that
// a process in it sends.
func leaving(t *testing.T, root, dir string) (func() []ebpf.ProgramID, func()) {
	t.Helper()
	loopbackOn(t)
	f := must[*os.File](t)(os.Open(dir))
	t.Cleanup(func() { _ = f.Close() })
	query := queried(t, link.QueryOptions{Target: int(f.Fd()), Attach: ebpf.AttachCGroupInetEgress})
	return query, func() {
		t.Helper()
		inCgroup(t, root, dir, func() {
			t.Helper()
			if err := say(t, &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}}, 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCgroupOrder has packets say who ran before whom.
func TestCgroupOrder(t *testing.T) {
	b := newBench(t)
	root, dir := ownCgroup(t)
	if !haveCgroupOrder() {
		t.Skip("SKIP-REASON: needs a kernel with order in cgroups (Linux 6.17)")
	}
	query, packet := leaving(t, root, dir)
	run := func(number int, options string) schemas.Instance {
		t.Helper()
		return b.start(verified(t, "x", objOrder), onCgroup(t, number, dir, options))
	}
	run(1, "")
	run(2, ",order=first")
	rec := run(3, ",after=i2")
	run(4, ",before=i1/on_cgroup")
	run(5, "")
	if o := rec.Links[0].Order; o == nil || o.Position != 2 || o.Of != 3 {
		t.Errorf("recorded as %+v", o)
	}
	b.inOrder("2 3 4 1 5", query, packet)
	again := onCgroup(t, 3, dir, "")
	u := b.update("i3", verified(t, "x", objOrder), UpdateOptions{Force: true, Set: again.Set, AllowDowngrade: true})
	if u.Attachments[0].Change != ChangeSwapped {
		t.Errorf("%+v", u.Attachments)
	}
	b.inOrder("2 3 4 1 5", query, packet)
	moved := onCgroup(t, 3, dir, ",order=last")
	b.update("i3", verified(t, "x", objOrder), UpdateOptions{Set: again.Set, Attach: moved.Attach, AllowDowngrade: true})
	b.inOrder("2 4 1 5 3", query, packet)
	if err := b.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestCgroupOrderForeign puts ours beside programs that bpfimg did not attach, with
// a link and without.
func TestCgroupOrderForeign(t *testing.T) {
	b := newBench(t)
	root, dir := ownCgroup(t)
	if !haveCgroupOrder() {
		t.Skip("SKIP-REASON: needs a kernel with order in cgroups (Linux 6.17)")
	}
	query, _ := leaving(t, root, dir)
	program := func() (*ebpf.Program, ebpf.ProgramID) {
		t.Helper()
		prog := must[*ebpf.Program](t)(tinyProgram(&ebpf.ProgramSpec{Type: ebpf.CGroupSKB, AttachType: ebpf.AttachCGroupInetEgress}, 1))
		t.Cleanup(func() { _ = prog.Close() })
		return prog, must[ebpf.ProgramID](t)(idOf(prog))
	}
	linked, linkedID := program()
	held := must[link.Link](t)(link.AttachCgroup(link.CgroupOptions{Path: dir, Attach: ebpf.AttachCGroupInetEgress, Program: linked}))
	defer held.Close()
	bare, bareID := program()
	f := must[*os.File](t)(os.Open(dir))
	defer f.Close()
	const allowMulti = 2 // BPF_F_ALLOW_MULTI
	place := link.RawAttachProgramOptions{Target: int(f.Fd()), Program: bare, Attach: ebpf.AttachCGroupInetEgress, Flags: allowMulti}
	if err := link.RawAttachProgram(place); err != nil {
		t.Fatal(err)
	}
	number := func(rec schemas.Instance) ebpf.ProgramID {
		return ebpf.ProgramID(programOf(&rec, "on_cgroup").ID)
	}
	one := number(b.start(verified(t, "x", objOrder), onCgroup(t, 1, dir, fmt.Sprintf(",before=id:%d", linkedID))))
	two := number(b.start(verified(t, "x", objOrder), onCgroup(t, 2, dir, fmt.Sprintf(",before=id:%d", bareID))))
	three := number(b.start(verified(t, "x", objOrder), onCgroup(t, 3, dir, fmt.Sprintf(",after=id:%d", bareID))))
	four := number(b.start(verified(t, "x", objOrder), onCgroup(t, 4, dir, fmt.Sprintf(",after=id:%d", bareID))))
	if got, want := query(), []ebpf.ProgramID{one, linkedID, two, bareID, four, three}; !slices.Equal(got, want) {
		t.Errorf("the kernel lists %v, want %v", got, want)
	}
	_, err := b.Run(t.Context(), verified(t, "x", objOrder), onCgroup(t, 5, dir, fmt.Sprintf(",preorder=true,after=id:%d", linkedID)))
	wantError(t, err, unix.EINVAL, "preorder=true", fmt.Sprintf("program id %d is not of the same kind", linkedID))
	if err := b.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	second, secondID := program()
	place.Program = second
	if err := link.RawAttachProgram(place); err != nil {
		t.Fatal(err)
	}
	for _, options := range []string{fmt.Sprintf(",after=id:%d", bareID), fmt.Sprintf(",before=id:%d", secondID)} {
		_, err := b.Run(t.Context(), verified(t, "x", objOrder), onCgroup(t, 1, dir, options))
		wantError(t, err, ErrNoTarget, "attached without links")
	}
	b.start(verified(t, "x", objOrder), onCgroup(t, 1, dir, fmt.Sprintf(",after=id:%d", secondID)))
	if err := b.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestCgroupPreorder runs programs of a cgroup and of one above it.
func TestCgroupPreorder(t *testing.T) {
	b := newBench(t)
	root, dir := ownCgroup(t)
	if !haveCgroupOrder() {
		t.Skip("SKIP-REASON: needs a kernel with order in cgroups (Linux 6.17)")
	}
	below := filepath.Join(dir, "below")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Rmdir(below) })
	_, packet := leaving(t, root, below)
	v := verified(t, "x", objOrder)
	b.start(v, onCgroup(t, 1, dir, ""))
	b.start(v, onCgroup(t, 2, below, ""))
	b.start(v, onCgroup(t, 3, below, ",preorder=true"))
	b.start(v, onCgroup(t, 4, dir, ",preorder=true"))
	b.start(v, onCgroup(t, 5, below, ",preorder=true,before=i3"))
	packet()
	for n, mark := range map[int]int64{4: 0, 5: 0o4, 3: 0o45, 2: 0o453, 1: 0o4532} {
		if got := b.values(fmt.Sprint("i", n), "before"); got[0] != mark || got[1] != 1 {
			t.Errorf("i%d saw %d packets and found %o, want %o", n, got[1], got[0], mark)
		}
	}
	if err := b.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestCgroupOrderRefuses checks what is refused before anything is loaded.
func TestCgroupOrderRefuses(t *testing.T) {
	b := newBench(t)
	_, dir := ownCgroup(t)
	v := verified(t, "x", objOrder)
	if !haveCgroupOrder() {
		_, err := b.Run(t.Context(), v, onCgroup(t, 1, dir, ",order=first"))
		wantError(t, err, nil, "6.17")
		if lacking := (&UnsupportedError{}); !errors.As(err, &lacking) {
			t.Errorf("error of type %T", err)
		}
		return
	}
	rec := b.start(v, RunOptions{Name: "i1", Attach: attachments(t, "on_cgroup=cgroup_skb:"+dir+",direction=egress", "on_tc=none", "on_tc_too=none", "on_cgroup_too=none")})
	b.opts.step = func(step string) error { return fmt.Errorf("step %q of a run that is to be refused", step) }
	b.reopen()
	for options, words := range map[string][]string{
		",priority=5":             {`no option "priority"`},
		",preorder=yes":           {"can be true, false"},
		",before=nobody":          {`no such instance: "nobody"`},
		",before=id:4294967295":   {"no such program on", dir},
		",order=first,before=i1":  {"exclude each other"},
		",preorder=true,after=i1": {"is not of the same kind", "preorder=true"},
	} {
		_, err := b.Run(t.Context(), v, onCgroup(t, 2, dir, options))
		wantError(t, err, nil, words...)
	}
	b.disarm()
	b.stop(rec)
}
