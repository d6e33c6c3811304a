// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// Objects of the tests of network hooks.
const (
	objLWT       = "testdata/lwt.bpf.o"
	objAction    = "testdata/action.bpf.o"
	objNetkit    = "testdata/netkit.bpf.o"
	objNetfilter = "testdata/netfilter.bpf.o"
	objDissector = "testdata/flow_dissector.bpf.o"
	objFrags     = "testdata/xdp_frags.bpf.o"
	objPass      = "testdata/xdp_pass.bpf.o"
)

// countAt is one number of a map of counters.
func (b *bench) countAt(instance, name string, index int) string {
	b.t.Helper()
	d, text := b.dump(instance, name)
	if index >= len(d.Entries) {
		b.t.Fatalf("no entry %d: %s", index, text)
	}
	return fmt.Sprint(d.Entries[index].Value)
}

// wantCount checks one number of a map of counters.
func (b *bench) wantCount(instance, name string, index, want int) {
	b.t.Helper()
	if got := b.countAt(instance, name, index); got != strconv.Itoa(want) {
		b.t.Errorf("%s[%d] of %s is %s, want %d", name, index, instance, got, want)
	}
}

// needHook skips where the kernel lacks a hook, after checking that a run says so
// and loads nothing.
func (b *bench) needHook(name, object string, attach ...string) {
	b.t.Helper()
	for _, info := range inspect.Hooks() {
		if info.Name != name {
			continue
		}
		err := probeHook(implementations()[name], info)
		if err == nil {
			return
		}
		b.opts.step = func(step string) error { return fmt.Errorf("step %q in spite of what the kernel lacks", step) }
		b.reopen()
		_, err = b.Run(b.t.Context(), verified(b.t, "x", object), RunOptions{Attach: attachments(b.t, attach...)})
		lacking := &UnsupportedError{}
		if !errors.As(err, &lacking) || lacking.Kernel != kernelRelease() {
			b.t.Errorf("a run says %v", err)
		}
		b.t.Skipf("SKIP-REASON: needs a kernel that has hook %s: %v", name, err)
	}
}

// address gives the interface an address.
func address(t *testing.T, iface, cidr string) {
	t.Helper()
	a, err := netlink.ParseAddr(cidr)
	if err != nil {
		t.Fatal(err)
	}
	a.Flags = unix.IFA_F_NODAD
	if err := netlink.AddrAdd(netlinkByName(t, iface), a); err != nil {
		t.Fatal(err)
	}
}

// sysctl sets one of this network namespace.
func sysctl(t *testing.T, name, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// say sends one UDP packet of n bytes to an address; the answer is the kernel's.
func say(t *testing.T, to unix.Sockaddr, n int) error {
	t.Helper()
	family := unix.AF_INET
	if _, six := to.(*unix.SockaddrInet6); six {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.Sendto(fd, make([]byte, n), 0, to)
}

// await waits until done.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// farNetns is a network namespace other than the test's, by the path of a file
// and the process that keeps it.
type farNetns struct {
	path string
	pid  int
	kill func()
}

// newFarNetns makes one, with peer in it.
func newFarNetns(t *testing.T) farNetns {
	t.Helper()
	cmd := exec.Command("sleep", "infinity")
	cmd.SysProcAttr = &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ns := farNetns{path: filepath.Join(t.TempDir(), "far"), pid: cmd.Process.Pid}
	killed := false
	ns.kill = func() {
		if killed {
			return
		}
		killed = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // says that it was killed
	}
	t.Cleanup(ns.kill)
	if err := os.WriteFile(ns.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(fmt.Sprintf("/proc/%d/ns/net", ns.pid), ns.path, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(ns.path, unix.MNT_DETACH) }) // it may be gone
	// No packets but those of the test.
	ns.do(t, func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	})
	if err := netlink.LinkSetNsPid(netlinkByName(t, peer), ns.pid); err != nil {
		t.Fatal(err)
	}
	ns.do(t, func() error { return netlink.LinkSetUp(netlinkByName(t, peer)) })
	return ns
}

// do calls f in the namespace.
func (ns farNetns) do(t *testing.T, f func() error) {
	t.Helper()
	if err := inNetns(ns.path, f); err != nil {
		t.Fatal(err)
	}
}

// end takes the namespace's last holders away.
func (ns farNetns) end(t *testing.T) {
	t.Helper()
	if err := unix.Unmount(ns.path, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	ns.kill()
}
