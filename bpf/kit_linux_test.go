// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/verify"
)

// Objects the tests load, relative to this folder.
const (
	objCounter  = "../examples/xdp-counter/counter.bpf.o"
	objTC       = "../examples/tc-bytes/bytes.bpf.o"
	objExec     = "../examples/tracepoint-exec/exec.bpf.o"
	objUnlink   = "../examples/kprobe-unlink/unlink.bpf.o"
	objRejected = "testdata/rejected.bpf.o"
	objNoGPL    = "testdata/nogpl.bpf.o"
	objUnknown  = "testdata/unknown_section.bpf.o"
	objBig      = "testdata/counter_eb.bpf.o"
)

// verified makes an image of object files, as if it had been verified.
func verified(t *testing.T, repository string, files ...string) *verify.Verified {
	t.Helper()
	ref, err := image.ParseReference("registry.example/" + repository + ":v1")
	if err != nil {
		t.Fatal(err)
	}
	config := []byte("{}")
	raw := fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":%q,"size":2},"annotations":{"files":%q}}`,
		digest.FromBytes(config), strings.Join(files, " "))
	m := image.Manifest{Bytes: raw}
	m.Descriptor.Digest, m.Descriptor.Size = digest.FromBytes(raw), int64(len(raw))
	img := &pull.Image{Reference: ref, Root: m, Manifest: m, Config: config}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		img.Objects = append(img.Objects, pull.Object{
			File: filepath.Base(f), Digest: digest.FromBytes(data).String(), Bytes: data,
		})
	}
	v, err := verify.Skip(img, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func attachments(t *testing.T, list ...string) []schemas.Attachment {
	t.Helper()
	var out []schemas.Attachment
	for _, s := range list {
		a, err := schemas.ParseAttachment(s)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	return out
}

// needRoot skips where the kernel cannot be asked for anything.
func needRoot(t *testing.T) {
	t.Helper()
	set, err := effectiveCapabilities()
	if err != nil || !set.has(unix.CAP_SYS_ADMIN) || !set.has(unix.CAP_NET_ADMIN) {
		t.Skip("SKIP-REASON: runs as root only, it loads BPF programs")
	}
}

// bench is a place to run instances: a manager with folders of its own, and a
// network namespace with a pair of interfaces. It belongs to the goroutine that
// made it; a subtest makes its own.
type bench struct {
	*Manager
	t    *testing.T
	log  *bytes.Buffer
	opts Options
}

const (
	dev  = "bpfimg0" // the interface programs are attached to
	peer = "bpfimg1" // what is sent here arrives at dev
)

func newBench(t *testing.T) *bench {
	t.Helper()
	needRoot(t)
	ownNetns(t)
	b := &bench{t: t, log: &bytes.Buffer{}}
	b.opts = Options{
		BPFFS: filepath.Join(customaryBPFFS, fmt.Sprintf("bpfimg-test-%d-%d", os.Getpid(), unix.Gettid()), strings.ReplaceAll(filepath.Base(t.Name()), ".", "_")),
		State: t.TempDir(), Log: slog.New(slog.NewTextHandler(b.log, nil)),
	}
	t.Cleanup(func() {
		if t.Failed() || t.Skipped() {
			b.disarm()
			if err := b.StopAll(context.Background()); err != nil {
				t.Log(err)
			}
		}
		_ = os.Remove(b.opts.BPFFS)
		_ = os.Remove(filepath.Dir(b.opts.BPFFS))
		if t.Failed() {
			t.Logf("log:\n%s", b.log)
		}
	})
	b.reopen()
	return b
}

// reopen makes a new manager with b.opts.
func (b *bench) reopen() {
	b.t.Helper()
	m, err := Open(b.opts)
	if err != nil {
		b.t.Fatal(err)
	}
	b.Manager = m
}

// ownNetns moves the test's thread to a new network namespace with a veth pair.
func ownNetns(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	old, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(netns.Set(old), old.Close(), fresh.Close()); err != nil {
			t.Error(err) // the thread stays locked and ends with its goroutine
			return
		}
		runtime.UnlockOSThread()
	})
	// No packets but those of the test.
	_ = os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: dev, Index: freshIndex()}, PeerName: peer}
	if err := netlink.LinkAdd(pair); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dev, peer} {
		if err := netlink.LinkSetUp(netlinkByName(t, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// lastIndex is the last one that freshIndex gave away.
var lastIndex atomic.Int32

// freshIndex is an interface index that no other test uses, of this process or of
// another. libxdp's folder, which all network namespaces share, names what is there
// by index alone.
func freshIndex() int {
	const perProcess = 1 << 13
	return 1<<30 + os.Getpid()%(1<<16)*perProcess + int(lastIndex.Add(1))%perProcess
}

func netlinkByName(t *testing.T, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// send puts n IPv4 packets of protocol 253 (RFC 3692: for experiments) on the
// wire at iface.
func send(t *testing.T, iface string, n int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrLinklayer{Ifindex: netlinkByName(t, iface).Attrs().Index, Halen: 6}
	for range n {
		if err := unix.Sendto(fd, testFrame(), 0, to); err != nil {
			t.Fatal(err)
		}
	}
}

// testFrame is an IPv4 packet of protocol 253 to everybody.
func testFrame() []byte {
	frame := make([]byte, 60)
	for i := range 6 {
		frame[i] = 0xff
	}
	copy(frame[12:], []byte{0x08, 0x00, 0x45})
	frame[14+9] = 253
	return frame
}

// start runs an image that must start.
func (b *bench) start(v *verify.Verified, opts RunOptions) schemas.Instance {
	b.t.Helper()
	r, err := b.Run(b.t.Context(), v, opts)
	if err != nil {
		b.t.Fatal(err)
	}
	if st, err := b.Get(b.t.Context(), r.Instance.Name); err != nil || len(st.Problems) > 0 || st.State != stateRunning {
		b.t.Fatalf("state %q, problems %q, error %v", st.State, st.Problems, err)
	}
	return r.Instance
}

// stop stops an instance and checks that nothing of it is left.
func (b *bench) stop(rec schemas.Instance) {
	b.t.Helper()
	if err := b.Stop(b.t.Context(), rec.Name); err != nil {
		b.t.Fatal(err)
	}
	b.checkGone(rec)
}

// patience is how long the kernel may take to free programs and maps, on a machine
// that does other things as well: stop waits for them, but not for ever.
const patience = time.Minute

// checkGone checks that neither kernel, bpffs nor state folder knows rec.
func (b *bench) checkGone(rec schemas.Instance) {
	b.t.Helper()
	for _, l := range rec.Links {
		for _, part := range l.Parts() {
			if part.ID != 0 && !gone(part.ID, lookForLink) {
				b.t.Errorf("link %d of %q is left", part.ID, l.Program)
			}
		}
	}
	for _, p := range rec.Programs {
		if len(waitGone(b.t.Context(), patience, []uint32{p.ID}, lookForProgram)) > 0 {
			b.t.Errorf("program %q (id %d) is left", p.Name, p.ID)
		}
	}
	for _, m := range rec.Maps {
		// Inner maps go some time after their outer one.
		if m.Shared == "" && len(waitGone(b.t.Context(), patience, []uint32{m.ID}, lookForMap)) > 0 {
			b.t.Errorf("map %q (id %d) is left", m.Name, m.ID)
		}
	}
	if _, err := os.Lstat(b.pinDir(rec.Name)); err == nil {
		b.t.Errorf("pins are left in %s", b.pinDir(rec.Name))
	}
	if r, err := b.record(rec.Name); err != nil || r != nil {
		b.t.Errorf("the record is left: %v, %v", r, err)
	}
	b.checkBare(rec.Name)
	noDispatcherPins(b.t)
}

// checkBare checks that the interface has nothing attached and no clsact.
func (b *bench) checkBare(instance string) { b.t.Helper(); b.checkBareOn(instance, dev) }

func (b *bench) checkBareOn(instance, iface string) {
	b.t.Helper()
	l, err := netlink.LinkByName(iface)
	if err != nil {
		return
	}
	if x := l.Attrs().Xdp; x != nil && x.Attached {
		b.t.Errorf("%s: an XDP program (id %d) is left", instance, x.ProgId)
	}
	if kind, err := ingressQdisc(uint32(l.Attrs().Index)); err != nil || kind != "" {
		b.t.Errorf("%s: qdisc %q is left (%v)", instance, kind, err)
	}
}

// dump reads a map as JSON.
func (b *bench) dump(instance, name string) (MapDump, string) {
	b.t.Helper()
	d, err := b.DumpMap(b.t.Context(), instance, name, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	text, err := json.Marshal(d)
	if err != nil {
		b.t.Fatal(err)
	}
	return d, string(text)
}

// values are all values of an array map, in the order of its keys.
func (b *bench) values(instance, name string) []int64 {
	b.t.Helper()
	d, text := b.dump(instance, name)
	list := make([]int64, len(d.Entries))
	for i, e := range d.Entries {
		n, err := e.Value.(json.Number).Int64()
		if err != nil {
			b.t.Fatalf("%v: %s", err, text)
		}
		list[i] = n
	}
	return list
}

// wantError checks that err is target and says all of words.
func wantError(t *testing.T, err, target error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; want one that says %q", words)
	}
	if target != nil && !errors.Is(err, target) {
		t.Errorf("error %q is not %q", err, target)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error does not say %q: %v", w, err)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("error is not one line: %q", err)
	}
}
