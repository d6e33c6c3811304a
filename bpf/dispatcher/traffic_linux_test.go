// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package dispatcher

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// staleElsewhere looks for stale folders from a network namespace of its own.
func staleElsewhere(d *Dispatchers) error {
	runtime.LockOSThread() // never unlocked
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	stale, err := d.Stale(context.Background())
	if err == nil && len(stale) > 0 {
		err = fmt.Errorf("%q were removed", stale)
	}
	return err
}

func TestTwoLockers(t *testing.T) {
	l := newBareLab(t)
	first := l.open(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Options{BPFFS: l.bpffs}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context ended", err)
	}
	second := make(chan error, 1)
	go func() {
		d, err := Open(t.Context(), Options{BPFFS: l.bpffs})
		if err == nil {
			err = d.Close()
		}
		second <- err
	}()
	select {
	case err := <-second:
		t.Errorf("both have the lock: %v", err)
	default:
	}
	check(t, first.Close())
	check(t, <-second)
}

func TestNoBPFFS(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if d, err := Open(t.Context(), Options{BPFFS: dir}); err == nil {
		t.Error("got a lock outside a BPF file system", d.Close())
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("%q is left, %v", left, err)
	}
}

// TestChangesMeanwhile has somebody without the lock change the interface, as
// libxdp may, between reading and attaching.
func TestChangesMeanwhile(t *testing.T) {
	l := newLab(t)
	meddle := func() {}
	d := l.open(func(step string) error {
		if step == "attach" {
			f := meddle
			meddle = func() {}
			f()
		}
		return nil
	})
	// Nothing there, then a program that is no dispatcher.
	alone := l.load(7).Programs["alone"]
	n := l.component(d, sample{me: 1})
	meddle = func() { check(t, setSlot(l.ifindex, ModeNative, alone.FD(), -1)) }
	_, err := d.Add(t.Context(), l.ifindex, "", n)
	if single := (*SingleError)(nil); !errors.As(err, &single) {
		t.Errorf("got %v, want a SingleError", err)
	}
	l.expectPins()
	check(t, setSlot(l.ifindex, ModeNative, -1, alone.FD()))
	// A chain, then another one.
	l.add(d, sample{me: 2, priority: 2})
	other := &Dispatchers{folder: d.folder, at: func(string) error { return nil }}
	third := l.component(d, sample{me: 3, priority: 3})
	meddle = func() {
		_, err := other.Add(t.Context(), l.ifindex, "", third)
		check(t, err)
	}
	_, err = d.Add(t.Context(), l.ifindex, "", n)
	check(t, err)
	l.expect(1, 2, 3)
	l.expectPins()
	// A chain, then nothing.
	meddle = func() {
		slot, err := slotOf(l.ifindex)
		check(t, err)
		now, err := ebpf.NewProgramFromID(ebpf.ProgramID(slot[0].id))
		check(t, err)
		defer now.Close()
		check(t, setSlot(l.ifindex, ModeNative, -1, now.FD()))
	}
	if err := d.Remove(t.Context(), l.ifindex, idOf(t, n.Program)); !errors.Is(err, ErrGone) {
		t.Errorf("got %v, want %v", err, ErrGone)
	}
	_, err = d.Stale(t.Context())
	check(t, err)
	l.expectPins()
}

// TestExchangeUnderTraffic exchanges two programs that drop all packets, again and
// again: every packet meets exactly one of them.
func TestExchangeUnderTraffic(t *testing.T) {
	l := newLab(t)
	d := l.open(nil)
	a := l.component(d, sample{me: 1, verdict: 1})
	b := l.component(d, sample{me: 2, verdict: 1})
	_, err := d.Add(t.Context(), l.ifindex, "", a)
	check(t, err)
	after := l.component(d, sample{me: 3, priority: 1})
	_, err = d.Add(t.Context(), l.ifindex, "", after)
	check(t, err)
	stop := l.traffic()
	for range 20 {
		_, err := d.Exchange(t.Context(), l.ifindex, idOf(t, a.Program), b)
		check(t, err)
		a, b = b, a
	}
	l.expectCount(stop(), a, b)
	if l.count(a) == 0 || l.count(b) == 0 {
		t.Errorf("one of the two met no packet: %d and %d", l.count(a), l.count(b))
	}
	if n := l.count(after); n > 0 {
		t.Errorf("%d packets passed by both", n)
	}
}

// traffic sends packets until what it returns is called, which says how many.
func (l *lab) traffic() (stop func() uint64) {
	l.t.Helper()
	send := l.sender()
	ctx, cancel := context.WithCancel(l.t.Context())
	sent := make(chan uint64, 1)
	go func() {
		var n uint64
		for ctx.Err() == nil {
			n += send()
		}
		sent <- n
	}()
	return func() uint64 {
		cancel()
		return <-sent
	}
}

// expectCount compares how many packets the components met, all together, with
// want.
func (l *lab) expectCount(want uint64, components ...New) {
	l.t.Helper()
	counted := func() (n uint64) {
		for _, c := range components {
			n += l.count(c)
		}
		return n
	}
	// The last ones may still be on their way.
	deadline, cancel := context.WithTimeout(l.t.Context(), time.Minute)
	defer cancel()
	for counted() < want && deadline.Err() == nil {
		runtime.Gosched()
	}
	if got := counted(); got != want || want == 0 {
		l.t.Errorf("%d packets met a program, %d were sent", got, want)
	}
	l.t.Logf("%d packets", want)
}

// count is how often a component ran.
func (l *lab) count(n New) uint64 {
	l.t.Helper()
	var hits uint64
	check(l.t, l.hits[idOf(l.t, n.Program)].Lookup(uint32(0), &hits))
	return hits
}

// sender returns what sends a packet to the interface and says how many went out:
// one, or none when the queue is full.
func (l *lab) sender() func() uint64 {
	l.t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	check(l.t, err)
	l.t.Cleanup(func() { _ = unix.Close(fd) })
	packet := make([]byte, 64)
	copy(packet, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	to := &unix.SockaddrLinklayer{Ifindex: l.peer, Halen: 6}
	return func() uint64 {
		if err := unix.Sendto(fd, packet, 0, to); err != nil {
			return 0
		}
		return 1
	}
}

// TestFolderOfOthers: who owns the folder can cut programs out of every chain.
func TestFolderOfOthers(t *testing.T) {
	for _, test := range []struct {
		name  string
		owner int
		mode  uint32
		want  error
	}{
		{"as we make it", 0, 0o700, nil},
		{"readable", 0, 0o755, nil},
		{"for all, who may remove their own only", 0, 0o1777, nil},
		{"of somebody else", 65534, 0o700, ErrNotPrivate},
		{"of a group", 0, 0o770, ErrNotPrivate},
		{"for all", 0, 0o777, ErrNotPrivate},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := newBareLab(t)
			folder := filepath.Join(l.bpffs, "xdp")
			check(t, os.Mkdir(folder, 0o700))
			check(t, unix.Chmod(folder, test.mode))
			check(t, os.Chown(folder, test.owner, -1))
			d, err := Open(t.Context(), Options{BPFFS: l.bpffs})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if err == nil {
				check(t, d.Close())
			}
		})
	}
}
