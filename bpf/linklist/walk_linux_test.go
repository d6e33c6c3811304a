// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package linklist

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// load loads a program that lets everything pass.
func load(t *testing.T, spec ebpf.ProgramSpec, verdict int32) *ebpf.Program {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIP-REASON: runs as root only, it loads BPF programs")
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		t.Fatal(err)
	}
	spec.License, spec.Instructions = "GPL", asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()}
	prog, err := ebpf.NewProgram(&spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = prog.Close() })
	return prog
}

// stay attaches a program to the network namespace until the test ends.
func stay(t *testing.T) link.ID {
	t.Helper()
	prog := load(t, ebpf.ProgramSpec{Type: ebpf.SkLookup, AttachType: ebpf.AttachSkLookup}, 1) // SK_PASS
	netns, err := os.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer netns.Close()
	held, err := link.AttachNetNs(int(netns.Fd()), prog)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = held.Close() })
	info, err := held.Info()
	if err != nil {
		t.Fatal(err)
	}
	return info.ID
}

// comeAndGo attaches the program to the loopback interface of a network namespace of
// its own and detaches it, many times. The first generic program in the system has
// the kernel rewrite its own code, so that attaching it takes a while.
func comeAndGo(prog *ebpf.Program) error {
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	for range 1000 {
		held, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: 1, Flags: link.XDPGenericMode})
		if err == nil {
			err = held.Close()
		}
		// EBUSY: who lists the links has the last one open.
		if err != nil && !errors.Is(err, unix.EBUSY) {
			return err
		}
	}
	return nil
}

// TestWalkMeanwhile lists links while others make and close some: the kernel shows
// the number of one that is being attached, and does not open it yet.
func TestWalkMeanwhile(t *testing.T) {
	id, prog := stay(t), load(t, ebpf.ProgramSpec{Type: ebpf.XDP}, 2) // XDP_PASS
	ended := make(chan error)
	const others = 2
	for range others {
		go func() { ended <- comeAndGo(prog) }()
	}
	for n := 0; n < others; {
		select {
		case err := <-ended:
			if n++; err != nil {
				t.Error(err)
			}
		default:
		}
		found := false
		if err := Walk(t.Context(), func(i *link.Info) bool { found = found || i.ID == id; return false }); err != nil || !found {
			t.Fatalf("found %t, %v; want the link that stays", found, err)
		}
	}
}

func TestWalkBounds(t *testing.T) {
	stay(t)
	never := func(*link.Info) bool { return false }
	if err := walk(t.Context(), 0, never); !errors.Is(err, errTooMany) {
		t.Errorf("got %v, want %v", err, errTooMany)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Walk(ctx, never); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context ended", err)
	}
}
