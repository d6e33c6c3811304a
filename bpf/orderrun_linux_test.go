// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
)

// objOrder has programs that know who ran before them.
const objOrder = "testdata/order.bpf.o"

// needTCX skips where there is none.
func needTCX(t *testing.T) {
	t.Helper()
	if !haveTCX(&placement{link: schemas.InstanceLink{Ifindex: uint32(netlinkByName(t, dev).Attrs().Index)}}) {
		t.Skip("SKIP-REASON: needs a kernel with tcx (Linux 6.6)")
	}
}

// onTC are the options of a run of one program that is number on $dev's ingress.
func onTC(t *testing.T, number int, options string) RunOptions {
	t.Helper()
	return RunOptions{
		Name: fmt.Sprint("i", number), Set: []schemas.VariableSetting{{Name: "number", Value: strconv.Itoa(number)}},
		Attach: attachments(t, "on_tc=tc:"+dev+",direction=ingress"+options, "on_tc_too=none", "on_cgroup=none", "on_cgroup_too=none"),
	}
}

// numbered starts one.
func (b *bench) numbered(number int, options string) schemas.Instance {
	b.t.Helper()
	return b.start(verified(b.t, "x", objOrder), onTC(b.t, number, options))
}

// inOrder checks with the kernel's list and with a packet that the instances run
// in the order of their numbers in want, "3 1 2". others says how many programs
// there are besides.
func (b *bench) inOrder(want string, query func() []ebpf.ProgramID, packet func()) {
	b.t.Helper()
	var ids []ebpf.ProgramID
	numbers := strings.Fields(want)
	for _, n := range numbers {
		rec, err := b.existing("i" + n)
		if err != nil {
			b.t.Fatal(err)
		}
		ids = append(ids, ebpf.ProgramID(programOf(rec, rec.Links[0].Program).ID))
	}
	if got := query(); !slices.Equal(got, ids) {
		b.t.Errorf("the kernel lists %v, want %v, those of %s", got, ids, want)
	}
	was := map[string]int64{}
	for _, n := range numbers {
		was[n] = b.values("i"+n, "before")[1]
	}
	packet()
	var mark int64
	for i, n := range numbers {
		if v := b.values("i"+n, "before"); v[0] != mark || v[1] != was[n]+1 {
			b.t.Errorf("i%s saw %d packets and found %o in the last; want 1, %o", n, v[1]-was[n], v[0], mark)
		}
		d, err := b.Describe(b.t.Context(), "i"+n)
		if err != nil || len(d.Orders) != 1 || d.Orders[0].Position != i+1 || d.Orders[0].Of != len(numbers) {
			b.t.Errorf("i%s is described as %+v, %v", n, d.Orders, err)
		}
		digit, err := strconv.Atoi(n)
		if err != nil {
			b.t.Fatal(err)
		}
		mark = mark<<3 | int64(digit)
	}
}

// arriving is the list of tcx programs of dev's ingress, and a packet for them.
func arriving(t *testing.T) (func() []ebpf.ProgramID, func()) {
	t.Helper()
	query := queried(t, link.QueryOptions{Target: netlinkByName(t, dev).Attrs().Index, Attach: ebpf.AttachTCXIngress})
	return query, func() { t.Helper(); send(t, peer, 1) }
}

// TestOrderTraffic has packets say who ran before whom.
func TestOrderTraffic(t *testing.T) {
	for _, tc := range []struct {
		name string
		// options of the instances 1, 2, …
		options []string
		want    string
	}{
		{"as they come", []string{"", "", ""}, "1 2 3"},
		{"priority", []string{",priority=30", ",priority=10", ",priority=20", ",priority=10", ""}, "2 4 3 1 5"},
		{"ends", []string{",order=last", ",priority=60000", ",order=first", ",priority=1", ",order=last"}, "3 4 2 1 5"},
		{"anchors", []string{"", ",before=i1", ",after=i1", ",before=i3/on_tc", ",after=i2"}, "2 5 1 4 3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			needTCX(t)
			query, packet := arriving(t)
			var all []schemas.Instance
			for i, options := range tc.options {
				all = append(all, b.numbered(i+1, options))
			}
			b.inOrder(tc.want, query, packet)
			for _, rec := range all {
				b.stop(rec)
			}
		})
	}
}

// TestOrderForeign puts ours around a program that bpfimg did not attach.
func TestOrderForeign(t *testing.T) {
	b := newBench(t)
	needTCX(t)
	query, packet := arriving(t)
	prog := must[*ebpf.Program](t)(tinyProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS}, -1))
	defer prog.Close()
	// Without a link, as older tools do it.
	place := link.RawAttachProgramOptions{Target: netlinkByName(t, dev).Attrs().Index, Program: prog, Attach: ebpf.AttachTCXIngress}
	if err := link.RawAttachProgram(place); err != nil {
		t.Fatal(err)
	}
	theirs := must[ebpf.ProgramID](t)(idOf(prog))
	b.numbered(1, ",priority=50")
	b.numbered(2, fmt.Sprintf(",before=id:%d", theirs))
	b.numbered(3, fmt.Sprintf(",after=id:%d", theirs))
	b.numbered(4, ",priority=40")
	ids := query()
	if len(ids) != 5 || ids[1] != theirs {
		t.Errorf("the kernel lists %v; want %d second of five", ids, theirs)
	}
	err := link.RawDetachProgram(link.RawDetachProgramOptions{Target: place.Target, Program: prog, Attach: place.Attach})
	if err != nil {
		t.Fatal(err)
	}
	b.inOrder("2 3 4 1", query, packet)
	_, err = b.Run(t.Context(), verified(t, "x", objOrder), onTC(t, 5, fmt.Sprintf(",before=id:%d", theirs)))
	wantError(t, err, ErrNoTarget, fmt.Sprintf("id:%d: no such program", theirs), "tcx ingress", "(i2/on_tc)")
	if err := b.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestOrderUpdate exchanges a program where it is, and moves it when asked to.
func TestOrderUpdate(t *testing.T) {
	b := newBench(t)
	needTCX(t)
	query, packet := arriving(t)
	b.numbered(1, "")
	b.numbered(2, ",after=i1")
	b.numbered(3, "")
	b.numbered(4, ",before=i2")
	b.inOrder("1 4 2 3", query, packet)
	again := func(number int, options string) UpdateOptions {
		run := onTC(t, number, options)
		up := UpdateOptions{Set: run.Set, AllowDowngrade: true, Force: true}
		if options != "" {
			up.Attach = run.Attach
		}
		return up
	}
	// The anchor may be gone by then.
	first, err := b.existing("i1")
	if err != nil {
		t.Fatal(err)
	}
	b.stop(*first)
	u := b.update("i2", verified(t, "x", objOrder), again(2, ""))
	if u.Attachments[0].Change != ChangeSwapped || u.Instance.Links[0].Options["after"] != "i1" {
		t.Errorf("%+v, %v", u.Attachments, u.Instance.Links[0].Options)
	}
	b.inOrder("4 2 3", query, packet)
	u = b.update("i2", verified(t, "x", objOrder), again(2, ",order=last"))
	if u.Attachments[0].Change != ChangeReattached {
		t.Errorf("%+v", u.Attachments)
	}
	b.inOrder("4 3 2", query, packet)
	b.update("i2", verified(t, "x", objOrder), again(2, ",before=i4/on_tc"))
	b.inOrder("2 4 3", query, packet)
	b.update("i2", verified(t, "x", objOrder), again(2, ",priority=50"))
	b.inOrder("4 3 2", query, packet)
	_, err = b.Update(t.Context(), "i2", verified(t, "x", objOrder), again(2, ",before=i1"))
	wantError(t, err, ErrNoInstance, `"i1"`)
	b.inOrder("4 3 2", query, packet)
	if err := b.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestOrderSame orders two programs of one image on one place.
func TestOrderSame(t *testing.T) {
	b := newBench(t)
	needTCX(t)
	at := "=tc:" + dev + ",direction=ingress"
	rec := b.start(verified(t, "x", objOrder), RunOptions{Name: "i1", Attach: attachments(t,
		"on_tc"+at+",priority=20", "on_tc_too"+at+",priority=10", "on_cgroup=none", "on_cgroup_too=none")})
	query, _ := arriving(t)
	want := []ebpf.ProgramID{
		ebpf.ProgramID(programOf(&rec, "on_tc_too").ID), ebpf.ProgramID(programOf(&rec, "on_tc").ID),
	}
	if got := query(); !slices.Equal(got, want) {
		t.Errorf("the kernel lists %v, want %v", got, want)
	}
	send(t, peer, 1)
	if got, want := b.values("i1", "before"), []int64{7, 1, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("the programs found %o, want %o", got, want)
	}
	_, err := b.Run(t.Context(), verified(t, "x", objOrder), onTC(t, 2, ",after=i1"))
	wantError(t, err, ErrUsage, "several programs", "after=i1/on_tc")
	b.stop(rec)
}

func TestOrderRefuses(t *testing.T) {
	b := newBench(t)
	needTCX(t)
	rec := b.numbered(1, "")
	far := b.start(verified(t, "x", objOrder), RunOptions{Name: "far", Attach: attachments(t,
		"on_tc=tc:"+dev+",direction=egress", "on_tc_too=tc:"+peer+",direction=ingress", "on_cgroup=none", "on_cgroup_too=none")})
	b.opts.step = func(step string) error { return fmt.Errorf("step %q of a run that is to be refused", step) }
	b.reopen()
	for _, tc := range []struct {
		options string
		target  error
		words   []string
	}{
		{",priority=1,order=first", ErrUsage, []string{"order and priority exclude each other"}},
		{",before=i1,after=i1", ErrUsage, []string{"before and after exclude each other"}},
		{",order=middle", ErrUsage, []string{"can be first, last"}},
		{",before=id:0", ErrUsage, []string{"is a number"}},
		{",before=id:x", ErrUsage, []string{"is a number"}},
		{",after=../x", ErrUsage, []string{"INSTANCE, INSTANCE/PROGRAM or id:NUMBER"}},
		{",after=i1/", ErrUsage, []string{"INSTANCE, INSTANCE/PROGRAM or id:NUMBER"}},
		{",before=i1,via=clsact", ErrUsage, []string{"option before is for tcx"}},
		{",order=last,handle=7", ErrUsage, []string{"option order is for tcx"}},
		{",via=tcx,handle=7", ErrUsage, []string{"tcx has no handle"}},
		{",before=nobody", ErrNoInstance, []string{`"nobody"`, "bpfimg ps", "id:NUMBER"}},
		{",before=i1/other", ErrNoTarget, []string{`program "other" of instance "i1" is not on tcx ingress`, `"on_tc" at tc:` + dev}},
		{",before=far", ErrNoTarget, []string{`instance "far" is not on tcx ingress`, "direction=egress", `"on_tc_too" at tc:` + peer}},
		{",after=id:4294967295", ErrNoTarget, []string{"no such program on tcx ingress", "(i1/on_tc)"}},
		{",priority=0", ErrUsage, []string{"1 to 65535"}},
		{",priority=65536", ErrUsage, []string{"1 to 65535"}},
	} {
		_, err := b.Run(t.Context(), verified(t, "x", objOrder), onTC(t, 2, tc.options))
		wantError(t, err, tc.target, tc.words...)
	}
	b.disarm()
	b.stop(rec)
	b.stop(far)
}

// TestOrderUndone fails at every step of a run with an anchor: the others stay
// where they are.
func TestOrderUndone(t *testing.T) {
	b := newBench(t)
	needTCX(t)
	query, packet := arriving(t)
	b.numbered(1, "")
	b.numbered(2, "")
	for n := 1; ; n++ {
		s := b.arm(n, func() error { return errInjected })
		_, err := b.Run(t.Context(), verified(t, "x", objOrder), onTC(t, 3, ",before=i2"))
		b.disarm()
		if len(s.seen) < n {
			if n < 6 || err != nil {
				t.Fatalf("only %d steps, error %v", n, err)
			}
			break
		}
		if !errors.Is(err, errInjected) {
			t.Fatalf("step %d: %v", n, err)
		}
		b.inOrder("1 2", query, packet)
		if t.Failed() {
			t.Fatalf("after a failure at step %d of %q", n, s.seen)
		}
	}
	b.inOrder("1 3 2", query, packet)
	if err := b.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestOrderAnchorVanishes takes the anchor away when everything is loaded.
func TestOrderAnchorVanishes(t *testing.T) {
	b := newBench(t)
	needTCX(t)
	query, packet := arriving(t)
	anchor := b.numbered(1, "")
	b.numbered(2, "")
	b.opts.step = func(step string) error {
		if step != "attach on_tc" {
			return nil
		}
		held, err := link.LoadPinnedLink(anchor.Links[0].Pin, nil)
		if err != nil {
			return err
		}
		defer held.Close()
		return held.Detach()
	}
	b.reopen()
	_, err := b.Run(t.Context(), verified(t, "x", objOrder), onTC(t, 3, ",after=i1"))
	b.disarm()
	wantError(t, err, ErrNoTarget, `instance "i1" is not on tcx ingress`)
	b.stop(anchor)
	b.inOrder("2", query, packet)
	if err := b.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestOrderFull is about a list with as many programs as the kernel takes.
func TestOrderFull(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	needTCX(t)
	for {
		prog := must[*ebpf.Program](t)(tinyProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS}, -1))
		l, err := link.AttachTCX(link.TCXOptions{Interface: netlinkByName(t, dev).Attrs().Index, Program: prog, Attach: ebpf.AttachTCXIngress})
		if errors.Is(err, unix.ERANGE) {
			must[int](t)(0, prog.Close())
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = joined.Errors(l.Close(), prog.Close()) })
	}
	_, err := b.Run(t.Context(), verified(t, "x", objOrder), onTC(t, 1, ",order=first"))
	wantError(t, err, unix.ERANGE, "as many programs as the kernel takes")
}

// TestOrderNetns orders programs in another network namespace.
func TestOrderNetns(t *testing.T) {
	b := newBench(t)
	needTCX(t)
	ns := newFarNetns(t)
	for number, options := range []string{"", ",before=i0", ",order=first"} {
		run := onTC(t, number, "")
		run.Attach = attachments(t, "on_tc=tc:"+peer+",direction=ingress,netns="+ns.path+options, "on_tc_too=none", "on_cgroup=none", "on_cgroup_too=none")
		b.start(verified(t, "x", objOrder), run)
	}
	for name, position := range map[string]int{"i2": 1, "i1": 2, "i0": 3} {
		if d, err := b.Describe(t.Context(), name); err != nil || len(d.Orders) != 1 || d.Orders[0].Position != position || d.Orders[0].Of != 3 {
			t.Errorf("%s is described as %+v, %v; want %d of 3", name, d.Orders, err, position)
		}
	}
	// The interface of that name and number here is another one.
	_, err := b.Run(t.Context(), verified(t, "x", objOrder), onTC(t, 3, ",before=i0"))
	wantError(t, err, ErrNoTarget, `instance "i0" is not on tcx ingress`)
	if err := b.StopAll(t.Context()); err != nil {
		t.Fatal(err)
	}
}
