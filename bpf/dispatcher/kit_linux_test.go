// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

//go:embed testdata/*.bpf.o
var testObjects embed.FS

// lab is a veth pair in a network namespace and a BPF file system, all of which end
// with the test, and what is needed to see who ran.
type lab struct {
	t       *testing.T
	ifindex int    // of one end
	peer    int    // of the other
	bpffs   string // mounted
	trace   *ebpf.Map
	hits    map[uint32]*ebpf.Map // by program
}

// needRoot skips the test where nothing can be loaded or mounted.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIP-REASON: runs as root only, it loads BPF programs and mounts file systems")
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
}

// newLab is for tests that need components.
func newLab(t *testing.T) *lab {
	t.Helper()
	needRoot(t)
	if err := Supported(); errors.Is(err, ErrUnsupported) {
		t.Skipf("SKIP-REASON: this kernel lacks or forbids freplace; `make test-kernels` runs it in machines that have it (%v)", err)
	} else if err != nil {
		t.Fatal(err)
	}
	return newBareLab(t)
}

// newBareLab is for tests of everything but components.
func newBareLab(t *testing.T) *lab {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread() // never unlocked: the thread and its namespace end with the test
	check(t, unix.Unshare(unix.CLONE_NEWNET))
	l := &lab{t: t, bpffs: t.TempDir(), hits: map[uint32]*ebpf.Map{}}
	check(t, unix.Mount("bpf", l.bpffs, "bpf", 0, ""))
	t.Cleanup(func() { check(t, unix.Unmount(l.bpffs, 0)) })
	t.Setenv(bpffsVariable, l.bpffs)
	check(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "left"}, PeerName: "right"}))
	l.ifindex, l.peer = l.up("left"), l.up("right")
	l.trace = l.load(0).Maps["trace"]
	return l
}

// up brings an interface up that sends nothing by itself.
func (l *lab) up(name string) int {
	l.t.Helper()
	// Its own packets would be counted.
	err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.t.Fatal(err)
	}
	link, err := netlink.LinkByName(name)
	check(l.t, err)
	check(l.t, netlink.LinkSetUp(link))
	return link.Attrs().Index
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sample is a component to be loaded.
type sample struct {
	function  string // of testdata/component.bpf.c; default "component"
	name      string // by default that of the function
	me        uint32 // what it writes down
	verdict   uint32 // default XDP_PASS
	priority  uint32
	proceedOn Actions // default ProceedOnPass
	frags     bool
}

// load loads everything of testdata/component.bpf.c that can be loaded alone.
func (l *lab) load(me uint32) *ebpf.Collection {
	l.t.Helper()
	spec := l.spec("component")
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return name != "alone" })
	check(l.t, spec.Variables["me"].Set(me))
	coll, err := ebpf.NewCollection(spec)
	check(l.t, err)
	l.t.Cleanup(coll.Close)
	return coll
}

func (l *lab) spec(name string) *ebpf.CollectionSpec {
	l.t.Helper()
	b, err := testObjects.ReadFile("testdata/" + name + ".bpf.o")
	check(l.t, err)
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(b))
	check(l.t, err)
	return spec
}

// component loads a component against a target of d.
func (l *lab) component(d *Dispatchers, s sample) New {
	l.t.Helper()
	n, err := l.tryComponent(d, s)
	check(l.t, err)
	return n
}

func (l *lab) tryComponent(d *Dispatchers, s sample) (New, error) {
	l.t.Helper()
	if s.function == "" {
		s.function = "component"
	}
	if s.verdict == 0 {
		s.verdict = 2
	}
	if s.proceedOn == 0 {
		s.proceedOn = ProceedOnPass
	}
	spec := l.spec("component")
	maps.DeleteFunc(spec.Programs, func(name string, _ *ebpf.ProgramSpec) bool { return name != s.function })
	check(l.t, spec.Variables["me"].Set(s.me))
	check(l.t, spec.Variables["verdict"].Set(s.verdict))
	p := spec.Programs[s.function]
	if s.name != "" {
		p.Name = s.name
	}
	var err error
	p.AttachTarget, p.AttachTo, err = d.Target()
	check(l.t, err)
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		MapReplacements: map[string]*ebpf.Map{"trace": l.trace},
	})
	if err != nil {
		return New{}, err
	}
	l.t.Cleanup(coll.Close)
	n := New{Program: coll.Programs[s.function], Name: p.Name, Priority: s.priority, ProceedOn: s.proceedOn, Frags: s.frags}
	l.hits[idOf(l.t, n.Program)] = coll.Maps["hits"]
	return n, nil
}

func idOf(t *testing.T, prog *ebpf.Program) uint32 {
	t.Helper()
	info, err := prog.Info()
	check(t, err)
	id, _ := info.ID()
	return uint32(id)
}

// open takes the lock until the test ends or unlock is called.
func (l *lab) open(at func(string) error) (d *Dispatchers) {
	l.t.Helper()
	d, err := Open(l.t.Context(), Options{BPFFS: l.bpffs, At: at})
	check(l.t, err)
	l.t.Cleanup(func() { _ = d.Close() })
	return d
}

// add adds a sample and returns the program's id.
func (l *lab) add(d *Dispatchers, s sample) uint32 {
	l.t.Helper()
	n := l.component(d, s)
	_, err := d.Add(l.t.Context(), l.ifindex, "", n)
	check(l.t, err)
	return idOf(l.t, n.Program)
}

func (l *lab) read() State {
	l.t.Helper()
	s, err := Read(l.t.Context(), l.ifindex)
	check(l.t, err)
	return s
}

// ran sends one packet through the XDP slot and says who ran and what came of it.
func (l *lab) ran() (who []uint32, verdict uint32) {
	l.t.Helper()
	slot, err := slotOf(l.ifindex)
	check(l.t, err)
	if len(slot) != 1 {
		l.t.Fatalf("%d programs in the slot", len(slot))
	}
	prog, err := ebpf.NewProgramFromID(ebpf.ProgramID(slot[0].id))
	check(l.t, err)
	defer prog.Close()
	check(l.t, l.trace.Put(uint32(0), uint32(0)))
	verdict, _, err = prog.Test(make([]byte, 64))
	check(l.t, err)
	var n uint32
	check(l.t, l.trace.Lookup(uint32(0), &n))
	for i := range n {
		var me uint32
		check(l.t, l.trace.Lookup(i+1, &me))
		who = append(who, me)
	}
	return who, verdict
}

// expect compares who runs with want.
func (l *lab) expect(want ...uint32) {
	l.t.Helper()
	if who, _ := l.ran(); !slices.Equal(who, want) {
		l.t.Errorf("programs %v ran, want %v", who, want)
	}
}

// pins lists what is below the folder of the protocol.
func (l *lab) pins() []string {
	l.t.Helper()
	list := []string{}
	check(l.t, filepath.WalkDir(filepath.Join(l.bpffs, "xdp"), func(path string, _ os.DirEntry, err error) error {
		if err == nil {
			list = append(list, path)
		}
		return err
	}))
	return list
}

// expectPins: there are the pins of the chain and no others.
func (l *lab) expectPins() {
	l.t.Helper()
	folder := filepath.Join(l.bpffs, "xdp")
	want := []string{folder}
	if c := l.read().Chain; c != nil {
		folder = filepath.Join(folder, folderName(l.ifindex, c.ID))
		want = append(want, folder)
		for i := range c.Programs {
			want = append(want, filepath.Join(folder, fmt.Sprintf("prog%d-link", i)), filepath.Join(folder, fmt.Sprintf("prog%d-prog", i)))
		}
	}
	if got := l.pins(); !slices.Equal(got, want) {
		l.t.Errorf("pins %q, want %q", got, want)
	}
}
