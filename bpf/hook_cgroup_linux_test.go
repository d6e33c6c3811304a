// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/vmtest/cgroups"
)

const objCgroup = "testdata/cgroup.bpf.o"

// lastCgroup counts the cgroups of ownCgroup: all mounts show the same ones.
var lastCgroup atomic.Int32

// ownCgroup makes a cgroup in a mount of cgroup2 of its own.
func ownCgroup(t *testing.T) (root, dir string) {
	t.Helper()
	needRoot(t)
	root = t.TempDir()
	if err := unix.Mount("none", root, "cgroup2", 0, ""); err != nil {
		t.Skipf("SKIP-REASON: runs where cgroup2 can be mounted: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(root, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir = filepath.Join(root, fmt.Sprintf("bpfimg-test-%d-%d", os.Getpid(), lastCgroup.Add(1)))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Rmdir(dir) })
	return root, dir
}

// inCgroup does something with this process in dir.
func inCgroup(t *testing.T, root, dir string, do func()) {
	t.Helper()
	join := func(to string) {
		if err := os.WriteFile(filepath.Join(to, "cgroup.procs"), []byte("0"), 0); err != nil {
			t.Error(err)
		}
	}
	join(dir)
	defer join(root)
	do()
}

// must fails the test on an error of one of the system calls below.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// talk makes two sockets of a family, sends through them, and asks them all
// that a cgroup program can see.
func talk(t *testing.T, family, kind int, loopback unix.Sockaddr) {
	t.Helper()
	socket := func() int { t.Helper(); return must[int](t)(unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0)) }
	server, client := socket(), socket()
	defer unix.Close(server)
	defer unix.Close(client)
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Error(err)
		}
	}
	check(unix.SetsockoptInt(server, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	must[int](t)(unix.GetsockoptInt(server, unix.SOL_SOCKET, unix.SO_REUSEADDR))
	check(unix.Bind(server, loopback))
	at := must[unix.Sockaddr](t)(unix.Getsockname(server))
	if kind == unix.SOCK_STREAM {
		check(unix.Listen(server, 1))
		check(unix.Connect(client, at))
		return
	}
	check(unix.Sendto(client, []byte("x"), 0, at))
	if _, _, err := unix.Recvfrom(server, make([]byte, 8), unix.MSG_DONTWAIT); err != nil {
		t.Error(err)
	}
	check(unix.Connect(client, at))
	must[unix.Sockaddr](t)(unix.Getpeername(client))
}

// TestCgroup attaches to every event of a cgroup, makes each happen, and sees
// each counted.
func TestCgroup(t *testing.T) {
	b := newBench(t)
	root, dir := ownCgroup(t)
	if err := netlink.LinkSetUp(netlinkByName(t, "lo")); err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range cgroups.Events() {
		list = append(list, "on_"+e.Name+"="+e.Hook+":"+dir)
	}
	rec := b.start(verified(t, "cgroup", objCgroup), RunOptions{Attach: attachments(t, list...)})
	inCgroup(t, root, dir, func() {
		for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_STREAM} {
			talk(t, unix.AF_INET, kind, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
			talk(t, unix.AF_INET6, kind, &unix.SockaddrInet6{Addr: [16]byte{15: 1}})
		}
		for _, path := range []string{"/proc/sys/kernel/ostype", "/dev/null"} {
			must[*os.File](t)(os.Open(path)).Close()
		}
		must[[]byte](t)(os.ReadFile("/proc/sys/kernel/ostype"))
	})
	d, text := b.dump(rec.Name, "events")
	for i, e := range cgroups.Events() {
		if i >= len(d.Entries) || d.Entries[i].Value == json.Number("0") {
			t.Errorf("%s was not seen: %s", e.Name, text)
		}
	}
	b.stop(rec)
}

// TestCgroupRemoved is about a cgroup that goes before the instance.
func TestCgroupRemoved(t *testing.T) {
	b := newBench(t)
	_, dir := ownCgroup(t)
	var list []string
	for _, e := range cgroups.Events() {
		list = append(list, "on_"+e.Name+"=none")
	}
	list[1] = "on_egress=cgroup_skb:" + dir
	rec := b.start(verified(t, "cgroup", objCgroup), RunOptions{Attach: attachments(t, list...)})
	if err := unix.Rmdir(dir); err != nil {
		t.Fatal(err)
	}
	// The kernel detaches in the background.
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for linkProblem(rec.Links[0]) == "" && ctx.Err() == nil {
		runtime.Gosched()
	}
	st, err := b.Get(t.Context(), rec.Name)
	if err != nil || len(st.Problems) != 1 || !strings.Contains(st.Problems[0], "attached to nothing any more") {
		t.Errorf("problems %q, error %v", st.Problems, err)
	}
	b.stop(rec)
}

func TestCgroupRefused(t *testing.T) {
	b := newBench(t)
	root, _ := ownCgroup(t)
	b.opts.step = func(step string) error {
		t.Errorf("step %q in spite of the wrong target", step)
		return nil
	}
	b.reopen()
	for _, tc := range []struct {
		name, target string
		err          error
		word         string
	}{
		{"none", "", ErrUsage, "/sys/fs/cgroup/NAME"},
		{"relative", ":web", ErrUsage, "absolute path"},
		{"missing", ":" + root + "/no-such", ErrNoTarget, "there is no cgroup"},
		{"another file system", ":" + t.TempDir(), ErrUsage, "version 2"},
		{"a file", ":" + root + "/cgroup.procs", ErrUsage, "version 2"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var list []string
			for _, e := range cgroups.Events() {
				list = append(list, "on_"+e.Name+"=none")
			}
			list[20] = "on_sysctl=cgroup_sysctl" + tc.target
			_, err := b.Run(t.Context(), verified(t, "cgroup", objCgroup), RunOptions{Attach: attachments(t, list...)})
			wantError(t, err, tc.err, tc.word)
		})
	}
	b.disarm()
}
