// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestAddOrders(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	for _, s := range []sample{
		{me: 1, priority: 50, name: "b"},
		{me: 2, priority: 20, name: "z"},
		{me: 3, priority: 50, name: "a"},
		{me: 4, priority: 4294967295, name: "a"},
		{me: 5, priority: 0, name: "m"},
	} {
		l.add(d, s)
		l.expectPins()
	}
	l.expect(5, 2, 3, 1, 4)
	chain := l.read().Chain
	var names []string
	for i, p := range chain.Programs {
		if p.Slot != i || p.ProceedOn != ProceedOnPass || p.Tag == "" {
			t.Errorf("got %+v in slot %d", p, i)
		}
		names = append(names, p.Name)
	}
	if want := []string{"m", "z", "a", "b", "a"}; !slices.Equal(names, want) {
		t.Errorf("names %q, want %q", names, want)
	}
	if chain.Mode != ModeNative || chain.Version != 2 || chain.Frags {
		t.Errorf("got %+v, want native, version 2, no frags", chain)
	}
}

func TestProceedOn(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	l.add(d, sample{me: 1, priority: 1, verdict: 1, proceedOn: 1<<1 | 1<<2}) // drop, goes on
	l.add(d, sample{me: 2, priority: 2, verdict: 3, proceedOn: 1 << 2})      // tx, ends
	l.add(d, sample{me: 3, priority: 3})
	who, verdict := l.ran()
	if want := []uint32{1, 2}; !slices.Equal(who, want) || verdict != 3 {
		t.Errorf("%v ran with %d, want %v with 3 (XDP_TX)", who, verdict, want)
	}
}

func TestRemoveInAnyOrder(t *testing.T) {
	l := newLab(t)
	for round := range 3 {
		d := l.open(nil)
		var ids []uint32
		left := map[uint32]uint32{}
		for _, i := range rand.Perm(4) {
			id := l.add(d, sample{me: uint32(i + 1), priority: uint32(i)})
			ids, left[id] = append(ids, id), uint32(i+1)
		}
		rand.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		for _, id := range ids {
			check(t, d.Remove(t.Context(), l.ifindex, id))
			delete(left, id)
			l.expectPins()
			var want []uint32
			for _, me := range left {
				want = append(want, me)
			}
			slices.Sort(want)
			if len(want) > 0 {
				l.expect(want...)
			}
		}
		if s := l.read(); s.Chain != nil || len(s.Single) > 0 {
			t.Errorf("round %d: %+v is left", round, s)
		}
		if err := d.Remove(t.Context(), l.ifindex, ids[0]); !errors.Is(err, ErrGone) {
			t.Errorf("removing again: %v, want %v", err, ErrGone)
		}
		check(t, d.Close())
	}
}

func TestEleventh(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	var want []uint32
	for i := range uint32(Slots) {
		l.add(d, sample{me: i, priority: i})
		want = append(want, i)
	}
	_, err := d.Add(t.Context(), l.ifindex, "", l.component(d, sample{me: 99}))
	if !errors.Is(err, ErrFull) {
		t.Errorf("got %v, want %v", err, ErrFull)
	}
	l.expect(want...)
	l.expectPins()
	// There is always room to exchange.
	chain := l.read().Chain
	_, err = d.Exchange(t.Context(), l.ifindex, chain.Programs[4].ID, l.component(d, sample{me: 44, priority: 4}))
	check(t, err)
	want[4] = 44
	l.expect(want...)
	l.expectPins()
}

func TestSingleProgram(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	alone := l.load(7).Programs["alone"]
	n := l.component(d, sample{me: 1})
	refused := func(want Single) {
		t.Helper()
		if s := l.read(); s.Chain != nil || !slices.Equal(s.Single, []Single{want}) {
			t.Errorf("read %+v, want %+v", s, want)
		}
		_, err := d.Add(t.Context(), l.ifindex, "", n)
		var single *SingleError
		if !errors.As(err, &single) || single.Single != want {
			t.Errorf("got %v, want %+v", err, want)
		}
		l.expectPins()
	}
	check(t, setSlot(l.ifindex, ModeGeneric, alone.FD(), -1))
	refused(Single{ID: idOf(t, alone), Name: "alone", Mode: ModeGeneric})
	check(t, setSlot(l.ifindex, ModeGeneric, -1, alone.FD()))
	held, err := link.AttachXDP(link.XDPOptions{Program: alone, Interface: l.ifindex, Flags: link.XDPDriverMode})
	check(t, err)
	defer held.Close()
	refused(Single{ID: idOf(t, alone), Name: "alone", Mode: ModeNative, Link: true})
}

// TestReplaceSingle puts a program that is no dispatcher away, in one step.
func TestReplaceSingle(t *testing.T) {
	l := newLab(t)
	broken := errors.New("broken")
	fail := "unpin"
	d := l.open(func(step string) error {
		if step == fail {
			return broken
		}
		return nil
	})
	alone := l.load(7).Programs["alone"]
	check(t, setSlot(l.ifindex, ModeGeneric, alone.FD(), -1))
	n := l.component(d, sample{me: 1})
	n.Replace = idOf(t, n.Program) // another one than is there
	_, err := d.Add(t.Context(), l.ifindex, "", n)
	if single := (*SingleError)(nil); !errors.As(err, &single) {
		t.Errorf("got %v, want a SingleError", err)
	}
	n.Replace = idOf(t, alone)
	if _, err := d.Add(t.Context(), l.ifindex, "", n); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
	l.expectPins()
	if s := l.read(); len(s.Single) != 1 || s.Single[0].ID != n.Replace {
		t.Errorf("got %+v, want program %d back", s, n.Replace)
	}
	fail = ""
	chain, err := d.Add(t.Context(), l.ifindex, "", n)
	check(t, err)
	if chain.Mode != ModeGeneric {
		t.Errorf("mode %s, want that of the program put away", chain.Mode)
	}
	l.expect(1)
	l.expectPins()
}

func TestVersion1(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	n := l.component(d, sample{me: 1})
	old := l.attachVersion1()
	types, err := typesOf(old)
	check(t, err)
	held, err := linkTo(old, types, "prog1", n.Program)
	check(t, err)
	defer held.Close()
	chain := l.read().Chain
	if chain == nil || chain.Version != 1 || chain.ID != idOf(t, old) {
		t.Fatalf("got %+v, want version 1", chain)
	}
	if since(t, 5, 13) {
		if p := chain.Programs; len(p) != 1 || p[0].Slot != 1 || p[0].Priority != 22 || p[0].ProceedOn != 1<<1 {
			t.Errorf("got %+v", p)
		}
	}
	if _, err := d.Add(t.Context(), l.ifindex, "", n); !errors.Is(err, ErrVersion) {
		t.Errorf("adding: %v, want %v", err, ErrVersion)
	}
	if err := d.Remove(t.Context(), l.ifindex, idOf(t, n.Program)); !errors.Is(err, ErrVersion) {
		t.Errorf("removing: %v, want %v", err, ErrVersion)
	}
}

// attachVersion1 attaches testdata/version1.bpf.c.
func (l *lab) attachVersion1() *ebpf.Program {
	l.t.Helper()
	prog := l.version1()
	check(l.t, setSlot(l.ifindex, ModeNative, prog.FD(), -1))
	return prog
}

func TestVanishedInterface(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	id := l.add(d, sample{me: 1})
	n := l.component(d, sample{me: 2})
	link, err := netlink.LinkByIndex(l.ifindex)
	check(t, err)
	check(t, netlink.LinkDel(link))
	if _, err := d.Add(t.Context(), l.ifindex, "", n); !errors.Is(err, unix.ENODEV) {
		t.Errorf("adding: %v, want ENODEV", err)
	}
	if err := d.Remove(t.Context(), l.ifindex, id); !errors.Is(err, ErrGone) {
		t.Errorf("removing: %v, want %v", err, ErrGone)
	}
	stale, err := d.Stale(t.Context())
	check(t, err)
	if len(stale) != 1 || len(l.pins()) != 1 {
		t.Errorf("%q were stale and %q is left", stale, l.pins())
	}
}

func TestVanishesMeanwhile(t *testing.T) {
	l := newLab(t)
	d := l.open(func(step string) error {
		if step != "attach" {
			return nil
		}
		link, err := netlink.LinkByIndex(l.ifindex)
		return errors.Join(err, netlink.LinkDel(link))
	})
	_, err := d.Add(t.Context(), l.ifindex, "", l.component(d, sample{}))
	if !errors.Is(err, unix.ENODEV) {
		t.Errorf("got %v, want ENODEV", err)
	}
	if p := l.pins(); len(p) != 1 {
		t.Errorf("pins %q are left", p)
	}
}

func TestReadWithoutPins(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	l.add(d, sample{me: 1, priority: 9})
	l.add(d, sample{me: 2, priority: 5, function: "component_with_a_long_name"})
	before := l.read()
	folder := filepath.Join(l.bpffs, "xdp", folderName(l.ifindex, before.Chain.ID))
	for _, slot := range []int{0, 1} {
		held, err := link.LoadPinnedLink(filepath.Join(folder, linkPin(slot)), nil)
		check(t, err)
		defer held.Close()
	}
	check(t, removeFolder(folder))
	if !since(t, 5, 13) { // which does not say what a bpf_link is linked to
		if now := l.read(); len(now.Chain.Programs) != 0 {
			t.Errorf("got %+v and cannot know", now.Chain)
		}
		return
	}
	if now := l.read(); len(now.Chain.Programs) != 2 || now.Chain.Programs[0] != before.Chain.Programs[0] {
		t.Errorf("got %+v, want %+v", now.Chain, before.Chain)
	}
	if name := l.read().Chain.Programs[0].Name; name != "component_with_a_long_name" {
		t.Errorf("name %q is cut", name)
	}
	// And what has no pins can be changed like any other.
	l.add(d, sample{me: 3, priority: 7})
	l.expect(2, 3, 1)
	l.expectPins()
}

func TestFrags(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	for i, tc := range []struct{ frags, want bool }{{true, since(t, 5, 18)}, {true, since(t, 5, 18)}, {false, false}} {
		l.add(d, sample{me: uint32(i), priority: uint32(i), frags: tc.frags})
		chain := l.read().Chain
		if chain.Frags != tc.want || chain.Programs[i].Frags != tc.frags {
			t.Errorf("after %d: got %+v, want frags %t", i, chain, tc.want)
		}
	}
	// The third is gone, so the dispatcher takes them again.
	check(t, d.Remove(t.Context(), l.ifindex, l.read().Chain.Programs[2].ID))
	if got := l.read().Chain.Frags; got != since(t, 5, 18) {
		t.Errorf("frags %t after the one without was removed", got)
	}
}

func TestModes(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	first, second := l.component(d, sample{me: 1}), l.component(d, sample{me: 2})
	chain, err := d.Add(t.Context(), l.ifindex, ModeGeneric, first)
	check(t, err)
	if chain.Mode != ModeGeneric || l.read().Chain.Mode != ModeGeneric {
		t.Errorf("mode %s, want generic", chain.Mode)
	}
	if _, err := d.Add(t.Context(), l.ifindex, ModeNative, second); err == nil {
		t.Error("a second mode was taken")
	}
	_, err = d.Add(t.Context(), l.ifindex, "", second)
	check(t, err)
	l.expect(1, 2)
	// A dummy's driver has no XDP.
	check(t, netlink.LinkAdd(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Name: "dull"}}))
	dull := l.up("dull")
	if _, err := d.Add(t.Context(), dull, ModeNative, first); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("native on a dummy: %v, want EOPNOTSUPP", err)
	}
	chain, err = d.Add(t.Context(), dull, "", first) // the same program on a second interface
	check(t, err)
	if chain.Mode != ModeGeneric || !errors.Is(chain.NotNative, unix.EOPNOTSUPP) {
		t.Errorf("mode %s, because of %v; want generic, because of EOPNOTSUPP", chain.Mode, chain.NotNative)
	}
	check(t, d.Remove(t.Context(), dull, idOf(t, first.Program)))
	l.expect(1, 2)
}

func TestWrongSignature(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	if _, err := l.tryComponent(d, sample{function: "two_arguments"}); err == nil {
		t.Error("a function with two arguments took the place of one with one")
	} else {
		t.Log(err)
	}
}

func TestMovesPacket(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	l.add(d, sample{me: 1, function: "moves"})
	l.expect(1)
	l.add(d, sample{me: 2, function: "moves", name: "again"})
	l.expect(2, 1)
}

// TestReplacedComponent: the kernel lets nothing take the place of a component.
func TestReplacedComponent(t *testing.T) {
	l := newLab(t)
	n := l.component(l.open(nil), sample{})
	prog, err := loadProbe(n.Program, "component")
	if !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v, %v, want EINVAL", prog, err)
	}
	t.Log(err)
}

// TestAttachType: a component is linked only to a dispatcher of the attach type of
// the one it was loaded against, so ours must have that of libxdp's.
func TestAttachType(t *testing.T) {
	l := newLab(t)
	n := l.component(l.open(nil), sample{})
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	check(t, err)
	if got := spec.Programs[mainFunction].AttachType; got != ebpf.AttachXDP {
		t.Errorf("attach type %s, want that of libbpf's section xdp", got)
	}
	spec.Programs[mainFunction].AttachType = ebpf.AttachNone
	other, err := loadSpec(spec, config{slots: make([]slotConfig, 2)})
	check(t, err)
	defer other.Close()
	types, err := typesOf(other)
	check(t, err)
	if held, err := linkTo(other, types, "prog1", n.Program); !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v, %v, want EINVAL", held, err)
	}
}

func TestSymlink(t *testing.T) {
	l := newLab(t)
	check(t, os.Mkdir(filepath.Join(l.bpffs, "tc"), 0o700))
	check(t, os.Symlink("tc", filepath.Join(l.bpffs, "xdp")))
	d := l.open(nil)
	l.add(d, sample{me: 1})
	if p, err := os.ReadDir(filepath.Join(l.bpffs, "tc")); err != nil || len(p) != 1 {
		t.Errorf("pins %v, %v; want one folder where the link leads", p, err)
	}
}
