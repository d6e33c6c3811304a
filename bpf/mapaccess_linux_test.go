// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ownBPFFS gives a bench a BPF file system of its own, so that a test may change
// the rights of its root.
func (b *bench) ownBPFFS() {
	b.t.Helper()
	dir, err := os.MkdirTemp("", "bpfimg-bpffs-")
	if err != nil {
		b.t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(dir, 0o755), unix.Mount("bpf", dir, "bpf", 0, "mode=0700")); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		if err := errors.Join(unix.Unmount(dir, unix.MNT_DETACH), os.Remove(dir)); err != nil {
			b.t.Error(err)
		}
	})
	b.opts.BPFFS = filepath.Join(dir, "bpfimg")
	b.reopen()
}

// Environment of [TestMapAccessChild].
const (
	envAccessPin = "BPFIMG_TEST_ACCESS_PIN"
	envAccessDo  = "BPFIMG_TEST_ACCESS_DO"
)

// TestMapAccessChild is the companion process of [TestMapAccess], without any
// rights but those of its groups.
func TestMapAccessChild(t *testing.T) {
	pin := os.Getenv(envAccessPin)
	if pin == "" {
		t.Skip("SKIP-REASON: runs only as the child of TestMapAccess")
	}
	set, err := effectiveCapabilities()
	if err != nil || set != 0 || os.Getuid() == 0 {
		t.Fatalf("capabilities %x, uid %d, %v", set, os.Getuid(), err)
	}
	m, err := ebpf.LoadPinnedMap(pin, &ebpf.LoadPinOptions{ReadOnly: os.Getenv(envAccessDo) == "read"})
	switch {
	case errors.Is(err, unix.EACCES):
		fmt.Println("ANSWER: EACCES")
		return
	case errors.Is(err, unix.EPERM):
		fmt.Println("ANSWER: EPERM")
		return
	case err != nil:
		t.Fatal(err)
	}
	defer m.Close()
	var n uint64
	if err := m.Lookup(uint32(0), &n); err != nil {
		t.Fatal(err)
	}
	if os.Getenv(envAccessDo) == "write" {
		if err := m.Update(uint32(0), n+40, ebpf.UpdateExist); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Printf("ANSWER: %d\n", n)
}

// asMember runs [TestMapAccessChild] as nobody, with one more group.
func (b *bench) asMember(gid uint32, do, pin string) string {
	b.t.Helper()
	// The way in for somebody who may not enter the folder of the test binary.
	cmd := exec.CommandContext(b.t.Context(), "/proc/self/exe", "-test.run=^TestMapAccessChild$")
	cmd.Env = append(os.Environ(), envAccessPin+"="+pin, envAccessDo+"="+do, "TMPDIR=/tmp", "GOCOVERDIR=/tmp")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534, Groups: []uint32{gid}}}
	out, err := cmd.CombinedOutput()
	_, answer, ok := strings.Cut(string(out), "ANSWER: ")
	if err != nil || !ok {
		b.t.Fatalf("child: %v\n%s", err, out)
	}
	answer, _, _ = strings.Cut(answer, "\n")
	return answer
}

// unprivilegedBPF says whether processes without CAP_BPF can open maps at all.
// Where kernel.unprivileged_bpf_disabled is set they can since Linux 5.19
// (commit c8644cd0efe7), and before that they cannot.
func unprivilegedBPF(t *testing.T) bool {
	t.Helper()
	value, err := os.ReadFile("/proc/sys/kernel/unprivileged_bpf_disabled")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value)) == "0" || haveKernel(t, 5, 19)
}

func haveKernel(t *testing.T, major, minor int) bool {
	t.Helper()
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		t.Fatal(err)
	}
	var a, z int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(uts.Release[:]), "%d.%d", &a, &z); err != nil {
		t.Fatal(err)
	}
	return a > major || a == major && z >= minor
}

const (
	metrics = 54321 // groups nobody has
	others  = 54322
)

// TestMapAccess: members of the group may open the maps of an instance, and
// nothing else; everybody else may not.
func TestMapAccess(t *testing.T) {
	b := newBench(t)
	b.ownBPFFS()
	if !unprivilegedBPF(t) {
		t.Skip("SKIP-REASON: needs Linux 5.19, or kernel.unprivileged_bpf_disabled=0, for a process without capabilities to open maps")
	}
	v := verified(t, "x", objMaps)
	opts := mapsImage(t, "first")
	opts.MapGroup = fmt.Sprint(metrics)
	rec := b.start(v, opts)
	if rec.MapMode != "0660" || rec.MapGroup != "54321" {
		t.Errorf("recorded mode %q and group %q", rec.MapMode, rec.MapGroup)
	}
	send(t, peer, 2)
	pin := mapOf(t, rec, "flows").Pin
	for _, tc := range []struct {
		who  uint32
		do   string
		pin  string
		want string
	}{
		{metrics, "read", pin, "2"},
		{metrics, "write", pin, "2"},
		{metrics, "read", pin, "42"},
		{others, "read", pin, "EACCES"},
		{others, "write", pin, "EACCES"},
		{metrics, "read", rec.Programs[0].Pin, "EACCES"},
		{metrics, "read", rec.Links[0].Pin, "EACCES"},
	} {
		if got := b.asMember(tc.who, tc.do, tc.pin); got != tc.want {
			t.Errorf("group %d: %s of %s: %s, want %s", tc.who, tc.do, tc.pin, got, tc.want)
		}
	}
	b.wantDump("first", "flows", `"key":0,"value":42`)
	b.wantModes(filepath.Dir(b.opts.BPFFS), 0o1710, metrics, b.opts.BPFFS, 0o710, metrics, rec.PinPath, 0o710, metrics,
		filepath.Join(rec.PinPath, pinMaps), 0o710, metrics, filepath.Join(rec.PinPath, pinPrograms), 0o700, 0,
		filepath.Join(rec.PinPath, pinLinks), 0o700, 0, pin, 0o660, metrics, rec.Programs[0].Pin, 0o600, 0)

	// A second instance for another group: each group has its own maps alone.
	opts = RunOptions{Name: "second", Attach: attachments(t, "more=none"), MapGroup: fmt.Sprint(others), MapMode: 0o640}
	second := b.start(verified(t, "x", "testdata/moremaps.bpf.o"), opts)
	theirs := mapOf(t, second, ".rodata").Pin
	b.wantModes(theirs, 0o640, others, filepath.Dir(b.opts.BPFFS), 0o1711, metrics)
	for _, tc := range []struct {
		who     uint32
		do, pin string
		want    string
	}{
		{others, "write", theirs, "EACCES"},
		{metrics, "read", theirs, "EACCES"},
		{others, "read", pin, "EACCES"},
		{metrics, "read", pin, "42"},
	} {
		if got := b.asMember(tc.who, tc.do, tc.pin); got != tc.want {
			t.Errorf("group %d: %s of %s: %s, want %s", tc.who, tc.do, tc.pin, got, tc.want)
		}
	}
	b.stop(rec)
	b.stop(second)
}

// wantModes checks triples of path, mode and group.
func (b *bench) wantModes(triples ...any) {
	b.t.Helper()
	for i := 0; i < len(triples); i += 3 {
		var st unix.Stat_t
		path := triples[i].(string)
		if err := unix.Stat(path, &st); err != nil {
			b.t.Error(err)
			continue
		}
		if mode := int(st.Mode & 0o7777); mode != triples[i+1].(int) || int(st.Gid) != triples[i+2].(int) {
			b.t.Errorf("%s has mode %#o and group %d, want %#o and %d", path, mode, st.Gid, triples[i+1], triples[i+2])
		}
	}
}

// TestMapsWithoutAccess: nothing is opened that nobody asked for.
func TestMapsWithoutAccess(t *testing.T) {
	b := newBench(t)
	b.ownBPFFS()
	rec := b.start(verified(t, "x", objMaps), mapsImage(t, "closed"))
	b.wantModes(filepath.Dir(b.opts.BPFFS), 0o1700, 0, b.opts.BPFFS, 0o700, 0, rec.PinPath, 0o700, 0, mapOf(t, rec, "flows").Pin, 0o600, 0)
	b.stop(rec)
}

// TestBpftool reads and writes a map by its pin with somebody else's tool.
func TestBpftool(t *testing.T) {
	bpftool, err := exec.LookPath("bpftool")
	if err != nil {
		t.Skip("SKIP-REASON: runs where bpftool is installed")
	}
	b := newBench(t)
	rec := b.start(verified(t, "x", objMaps), mapsImage(t, "tool"))
	pin := mapOf(t, rec, "flows").Pin
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), bpftool, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("bpftool %v: %v\n%s", args, err, out)
		}
		return string(bytes.Join(bytes.Fields(out), nil))
	}
	send(t, peer, 5)
	if out := run("-j", "map", "dump", "pinned", pin); !strings.Contains(out, `"formatted":{"key":0,"value":5}`) {
		t.Errorf("bpftool dumps %s", out)
	}
	run("map", "update", "pinned", pin, "key", "9", "0", "0", "0", "value", "7", "0", "0", "0", "0", "0", "0", "0")
	b.wantDump("tool", "flows", `"key":9,"value":7`)
	b.stop(rec)
}
