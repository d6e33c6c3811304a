// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Objects of the hooks of no family.
const (
	objStructOps = "testdata/structops.bpf.o"
	objSyscall   = "testdata/syscall.bpf.o"
	objSlot      = "testdata/slot.bpf.o"
	objFreplace  = "testdata/freplace.bpf.o"
)

// congestion is the name objStructOps registers.
const congestion = "bpfimg"

// TestStructOps registers a TCP congestion control and has a connection use it.
func TestStructOps(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	v := verified(t, "ca", objStructOps)
	r, err := b.Run(t.Context(), v, RunOptions{})
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		wantError(t, err, nil, "6.4")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	l := r.Instance.Links[0]
	if len(r.Instance.Links) != 1 || l.Program != "congestion" || l.Map != "congestion" || l.ID == 0 {
		t.Errorf("links: %+v", r.Instance.Links)
	}
	if len(r.Instance.Programs) != 4 {
		t.Errorf("programs: %+v", r.Instance.Programs)
	}
	_, err = b.Run(t.Context(), v, RunOptions{Name: "again"})
	wantError(t, err, unix.EEXIST, "congestion=struct_ops", "of that name is registered")
	if err := transfer(t, congestion); err != nil {
		t.Fatal(err)
	}
	if n := b.hits("ca"); n[0] == 0 || n[1] == 0 {
		t.Errorf("hits: %v", n)
	}
	if st, err := b.Get(t.Context(), "ca"); err != nil || len(st.Problems) > 0 {
		t.Errorf("%q, %v", st.Problems, err)
	}
	// A socket that uses it keeps it, and does not keep it from being stopped.
	user, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetsockoptString(user, unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion); err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context(), "ca"); err != nil {
		t.Fatal(err)
	}
	if err := transfer(t, congestion); !errors.Is(err, unix.ENOENT) {
		t.Errorf("the congestion control is left: %v", err)
	}
	if text := b.log.String(); !strings.Contains(text, "something else still holds parts") {
		t.Errorf("no word of the socket: %s", text)
	}
	if err := unix.Close(user); err != nil {
		t.Fatal(err)
	}
	var maps []uint32
	for _, m := range r.Instance.Maps {
		maps = append(maps, m.ID)
	}
	if left := waitGone(t.Context(), patience, maps, lookForMap); len(left) > 0 {
		t.Errorf("maps %v are left", left)
	}
	b.checkGone(r.Instance)
}

// TestStructOpsNone loads without registering, and says what cannot be meant.
func TestStructOpsNone(t *testing.T) {
	b := newBench(t)
	if err := (structOpsHook{}).probe(); err != nil {
		t.Skipf("SKIP-REASON: needs struct_ops links (Linux 6.4): %v", err)
	}
	v := verified(t, "ca", objStructOps)
	rec := b.start(v, RunOptions{Attach: attachments(t, "congestion=none")})
	if len(rec.Links) != 0 || len(rec.Programs) != 4 {
		t.Errorf("%+v", rec)
	}
	if err := transfer(t, congestion); !errors.Is(err, unix.ENOENT) {
		t.Errorf("registered all the same: %v", err)
	}
	b.stop(rec)
	for attach, want := range map[string]string{
		"count_init=none":              "MAP=struct_ops",
		"congestion=struct_ops:x":      "no target",
		"congestion=kprobe:x":          "only hook struct_ops takes",
		"congestion=struct_ops,a=b":    `no option "a"`,
		"no_such=struct_ops":           `"congestion"`,
		"hits=struct_ops":              `no program "hits"`,
		"congestion=no_such_hook:here": `no hook "no_such_hook"`,
	} {
		_, err := b.Run(t.Context(), v, RunOptions{Attach: attachments(t, attach)})
		wantError(t, err, ErrUsage, want)
	}
}

// TestSyscall runs programs once.
func TestSyscall(t *testing.T) {
	b := newBench(t)
	v := verified(t, "once", objSyscall)
	run := func(attach ...string) error {
		r, err := b.Run(t.Context(), v, RunOptions{Attach: attachments(t, attach...)})
		if err == nil {
			if n := b.hits("once"); n[0]+n[2] != 1 {
				t.Errorf("%q: hits %v", attach, n)
			}
			if l := r.Instance.Links[0]; l.Via != viaOnce || l.Pin != "" || l.ID != 0 {
				t.Errorf("%q: %+v", attach, l)
			}
			if st, err := b.Get(t.Context(), "once"); err != nil || len(st.Problems) > 0 {
				t.Errorf("%q: problems %q, %v", attach, st.Problems, err)
			}
			b.stop(r.Instance)
			return nil
		}
		if rec, err := b.record("once"); err != nil || rec != nil {
			t.Errorf("%q: left: %v, %v", attach, rec, err)
		}
		return err
	}
	err := run("refuse=none", "read_args=none")
	var unsupported *UnsupportedError
	if errors.As(err, &unsupported) {
		wantError(t, err, nil, "5.14")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := run("succeed=none", "refuse=none", "read_args=syscall,ctx-size=8"); err != nil {
		t.Error(err)
	}
	wantError(t, run("read_args=none"), nil, `running program "refuse"`, "returned -7")
	wantError(t, run("refuse=none", "read_args=syscall"), unix.EINVAL, `"read_args"`, "ctx-size")
	wantError(t, run("refuse=none", "read_args=syscall,ctx-size=0"), ErrUsage, "from 1 to 65535")
	wantError(t, run("refuse=none", "read_args=syscall:x"), ErrUsage, "no target")
}

// TestFreplace replaces a function of a running program and gives it back.
func TestFreplace(t *testing.T) {
	b := newBench(t)
	slot := b.start(verified(t, "slot", objSlot), RunOptions{Attach: attachments(t, "with_slot=xdp:"+dev+",via=link")})
	send(t, peer, 1)
	v := verified(t, "other", objFreplace)
	by := fmt.Sprintf("id:%d", slot.Programs[0].ID)
	for i, program := range []string{"slot/with_slot", by, slot.Programs[0].Pin} {
		r, err := b.Run(t.Context(), v, RunOptions{Attach: attachments(t, "decide_instead=freplace:decide,program="+program)})
		if errors.Is(err, unix.EPERM) {
			wantError(t, err, nil, "freplace programs", "not permitted here", "built without")
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		before := b.hits("slot")[0]
		send(t, peer, events)
		if n := b.hits("other")[0]; n != events {
			t.Errorf("%d: the replacement was called %d times, want %d", i, n, events)
		}
		if n := b.hits("slot")[0]; n != before {
			t.Errorf("%d: the original was called %d times more", i, n-before)
		}
		if err := b.Stop(t.Context(), "other"); err != nil {
			t.Fatal(err)
		}
		if l := r.Instance.Links[0]; !gone(l.ID, lookForLink) {
			t.Errorf("%d: link %d is left", i, l.ID)
		}
		send(t, peer, events)
		if n := b.hits("slot")[0]; n != before+events {
			t.Errorf("%d: after stop the original was called %d times, want %d", i, n-before, events)
		}
	}
	b.stop(slot)
}

func TestFreplaceRefuses(t *testing.T) {
	b := newBench(t)
	slot := b.start(verified(t, "slot", objSlot), RunOptions{Attach: attachments(t, "with_slot=xdp:"+dev+",via=link")})
	p := &placement{hook: freplaceHook{}}
	p.link.Program, p.link.Hook = "decide_instead", "freplace"
	for name, tc := range map[string]struct {
		function, program string
		target            error
		words             []string
	}{
		"no program":         {"decide", "", ErrUsage, []string{"INSTANCE/PROGRAM"}},
		"no instance":        {"decide", "none/x", ErrNoTarget, []string{`no instance "none"`}},
		"not of instance":    {"decide", "slot/x", ErrNoTarget, []string{`"slot" has no program "x"`}},
		"relative":           {"decide", "slot", ErrUsage, []string{"absolute path"}},
		"no pin":             {"decide", "/sys/fs/bpf/no-such", ErrNoTarget, []string{"no-such"}},
		"no id":              {"decide", "id:4294967295", ErrNoTarget, []string{"id:4294967295"}},
		"bad id":             {"decide", "id:x", ErrUsage, []string{"number of a program"}},
		"no function":        {"no_such", "slot/with_slot", ErrNoTarget, []string{`no function "no_such"`}},
		"function, not ours": {"hit", "slot/with_slot", ErrNoTarget, []string{`"hit"`}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := b.host()
			if err != nil {
				t.Fatal(err)
			}
			p.link.Target = tc.function
			p.link.Options = map[string]string{}
			if tc.program != "" {
				p.choose(optionProgram, tc.program)
			}
			err = freplaceHook{}.prepare(t.Context(), h, p)
			if p.open != nil {
				defer p.open.Close()
			}
			wantError(t, err, tc.target, tc.words...)
		})
	}
	b.stop(slot)
}

// transfer sends some data over loopback, the sender using the TCP congestion
// control of that name.
func transfer(t *testing.T, congestion string) (err error) {
	t.Helper()
	if err := netlink.LinkSetUp(netlinkByName(t, "lo")); err != nil {
		t.Fatal(err)
	}
	// In this thread's network namespace, which a goroutine of a dialer might not
	// be in.
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialer := net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		var set error
		err := c.Control(func(fd uintptr) {
			set = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion)
		})
		return errors.Join(err, set)
	}}
	conn, err := dialer.DialContext(context.Background(), "tcp", listener.Addr().String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	server, err := listener.Accept()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	for range events {
		// There and back: each answer comes with an acknowledgement.
		for _, pair := range [][2]net.Conn{{conn, server}, {server, conn}} {
			if _, err := pair[0].Write([]byte("x")); err != nil {
				return err
			}
			if _, err := pair[1].Read(make([]byte, 1)); err != nil {
				return err
			}
		}
	}
	return nil
}
