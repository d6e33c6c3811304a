// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/bpfimg/bpfimg/bpf/dispatcher"
	"github.com/bpfimg/bpfimg/schemas"
)

func TestVerifierRejection(t *testing.T) {
	b := newBench(t)
	_, err := b.Run(t.Context(), verified(t, "bad", objRejected), RunOptions{Iface: dev})
	var refused *KernelError
	if !errors.As(err, &refused) {
		t.Fatalf("error %v is no KernelError", err)
	}
	wantError(t, err, nil, `loading program "xdp_rejected"`, "the verifier rejected it", "outside of the packet")
	saved, readErr := os.ReadFile(refused.LogFile)
	if readErr != nil || string(saved) != refused.Log || !strings.Contains(refused.Log, "processed ") {
		t.Errorf("saved log %q (%v), whole log %q", saved, readErr, refused.Log)
	}
	if st, err := os.Stat(refused.LogFile); err != nil || st.Mode().Perm() != 0o600 ||
		filepath.Base(refused.LogFile) != "bad-xdp_rejected.log" {
		t.Errorf("log file %v, %v", st, err)
	}
	if rec, err := b.record("bad"); rec != nil || err != nil {
		t.Errorf("record left: %v, %v", rec, err)
	}
}

func TestMissingGPL(t *testing.T) {
	b := newBench(t)
	_, err := b.Run(t.Context(), verified(t, "bad", objNoGPL), RunOptions{Iface: dev})
	wantError(t, err, nil, "helper bpf_trace_printk", "GPL-compatible", `"Proprietary"`)
}

func TestWrongInterface(t *testing.T) {
	b := newBench(t)
	_, err := b.Run(t.Context(), verified(t, "c", objCounter), RunOptions{Iface: "eth77"})
	wantError(t, err, ErrNoTarget, `no interface "eth77"`, dev, peer)
}

func TestInterfaceGone(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "x", faultFiles()...), faultImage(t))
	if err := netlink.LinkDel(netlinkByName(t, dev)); err != nil {
		t.Fatal(err)
	}
	st, err := b.Get(t.Context(), rec.Name)
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(st.Problems, "\n")
	for _, want := range []string{`program "xdp_count" is attached to nothing`, `program "tc_ingress" is attached to nothing`, `the filter of program "tc_egress"`} {
		if !strings.Contains(all, want) {
			t.Errorf("problems do not say %q:\n%s", want, all)
		}
	}
	b.stop(rec)
}

// TestInterfaceGoesMeanwhile is about an interface that vanishes between the check
// and the attachment.
func TestInterfaceGoesMeanwhile(t *testing.T) {
	for program, at := range map[string]string{"xdp_count": "xdp:", "tc_ingress": "tc:", "tc_egress": "tc:"} {
		t.Run(program, func(t *testing.T) {
			b := newBench(t)
			b.opts.step = func(step string) error {
				if step == "attach "+program {
					return netlink.LinkDel(netlinkByName(t, dev))
				}
				return nil
			}
			b.reopen()
			_, err := b.Run(t.Context(), verified(t, "x", faultFiles()...), faultImage(t))
			wantError(t, err, ErrNoTarget, program+"="+at+dev, "is gone")
			b.checkGone(schemas.Instance{Name: "fault"})
		})
	}
}

func TestExists(t *testing.T) {
	b := newBench(t)
	v := verified(t, "net/xdp-counter", objCounter)
	rec := b.start(v, RunOptions{Iface: dev})
	_, err := b.Run(t.Context(), v, RunOptions{Iface: dev})
	wantError(t, err, ErrExists, "xdp-counter", "--name", "bpfimg stop xdp-counter")
	b.stop(rec)
	wantError(t, b.Stop(t.Context(), rec.Name), ErrNoInstance, rec.Name)
	wantError(t, b.Stop(t.Context(), "../.."), ErrNoInstance)
	_, err = b.DumpMap(t.Context(), rec.Name, "pkts", 0)
	wantError(t, err, ErrNoInstance, rec.Name)
}

func TestLocked(t *testing.T) {
	b := newBench(t)
	b.opts.LockWait = time.Millisecond
	b.reopen()
	held, err := b.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Run(t.Context(), verified(t, "c", objCounter), RunOptions{Iface: dev})
	wantError(t, err, ErrLocked, "process "+itoa(os.Getpid()))
	if err := held.Unlock(); err != nil {
		t.Fatal(err)
	}
	b.stop(b.start(verified(t, "c", objCounter), RunOptions{Iface: dev}))
}

// TestEarlierBoot is about a record of programs that ended with the machine.
func TestEarlierBoot(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "c", objCounter), RunOptions{Iface: dev})
	b.stop(rec)
	rec.BootID = "another"
	if err := b.save(&rec); err != nil {
		t.Fatal(err)
	}
	if st, err := b.Get(t.Context(), "c"); err != nil || len(st.Problems) != 1 || !strings.Contains(st.Problems[0], "restarted") {
		t.Errorf("%+v, %v", st, err)
	}
	b.stop(b.start(verified(t, "c", objCounter), RunOptions{Iface: dev}))
}

func TestOrphanedPins(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "c", objCounter), RunOptions{Iface: dev})
	if err := b.forget("c"); err != nil {
		t.Fatal(err)
	}
	st, err := b.Get(t.Context(), "c")
	if err != nil || st.State != "" || len(st.Problems) != 1 || !strings.Contains(st.Problems[0], "pins without a record") {
		t.Errorf("%+v, %v", st, err)
	}
	_, err = b.Run(t.Context(), verified(t, "c", objCounter), RunOptions{Iface: dev})
	wantError(t, err, ErrExists, "pins without a record")
	b.stop(rec)
}

func TestDamagedRecord(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "c", objCounter), RunOptions{Iface: dev})
	if err := os.WriteFile(b.recordPath("c"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if st, err := b.Get(t.Context(), "c"); err != nil || len(st.Problems) != 1 || !strings.Contains(st.Problems[0], "damaged") {
		t.Errorf("%+v, %v", st, err)
	}
	_, err := b.Run(t.Context(), verified(t, "c", objCounter), RunOptions{Iface: dev})
	wantError(t, err, nil, "damaged", "bpfimg stop c")
	b.stop(rec)

	// What a power failure leaves: an empty record and no pins.
	if err := os.WriteFile(b.recordPath("c"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.stop(b.start(verified(t, "c", objCounter), RunOptions{Iface: dev}))
}

func TestPinRemovedByHand(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "c", objCounter), RunOptions{Attach: attachments(t, "xdp_count=xdp:"+dev+",via=link")})
	if err := os.Remove(rec.Links[0].Pin); err != nil {
		t.Fatal(err)
	}
	if st, err := b.Get(t.Context(), "c"); err != nil || len(st.Problems) != 1 || !strings.Contains(st.Problems[0], `attachment of program "xdp_count" is gone`) {
		t.Errorf("%+v, %v", st, err)
	}
	b.stop(rec)
}

// TestForeignPin is about a file of somebody else in the instance's folder: it
// is not ours to remove.
func TestForeignPin(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "c", objCounter), RunOptions{Iface: dev})
	foreign := filepath.Join(rec.PinPath, "theirs")
	if err := os.Mkdir(foreign, 0o700); err != nil {
		t.Fatal(err)
	}
	wantError(t, b.Stop(t.Context(), "c"), nil, "not empty")
	if err := os.Remove(foreign); err != nil {
		t.Fatal(err)
	}
	b.stop(rec)
}

func TestNotABPFFS(t *testing.T) {
	b := newBench(t)
	b.opts.BPFFS = t.TempDir()
	b.reopen()
	_, err := b.Run(t.Context(), verified(t, "c", objCounter), RunOptions{Iface: dev})
	wantError(t, err, nil, b.opts.BPFFS, "not on a BPF file system")
}

func TestNoSuchMap(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "c", objCounter), RunOptions{Iface: dev})
	_, err := b.DumpMap(t.Context(), "c", "pkt", 0)
	wantError(t, err, ErrNoInstance, `no map "pkt"`, `it has "pkts"`)
	d, err := b.DumpMap(t.Context(), "c", "pkts", 1)
	if err != nil || d.Truncated {
		t.Errorf("%+v, %v", d, err)
	}
	b.stop(rec)
}

func TestCapabilities(t *testing.T) {
	p, err := newPlan(verified(t, "x", objCounter, objExec), RunOptions{Iface: "eth0"})
	if err != nil {
		t.Fatal(err)
	}
	const bpf, net, perf, admin = capabilitySet(1) << 39, capabilitySet(1) << 12, capabilitySet(1) << 38, capabilitySet(1) << 21
	for _, tc := range []struct {
		have capabilitySet
		want string
	}{
		{0, "CAP_BPF or CAP_SYS_ADMIN"},
		{bpf, "CAP_NET_ADMIN"},
		{admin, "CAP_NET_ADMIN"},
		{bpf | net, "CAP_PERFMON or CAP_SYS_ADMIN"},
		{bpf | net | perf, ""},
		{admin | net, ""},
	} {
		err := p.checkCapabilities(tc.have)
		var denied *PermissionError
		if errors.As(err, &denied) != (tc.want != "") || (denied != nil && denied.Capability != tc.want) {
			t.Errorf("with %x: %v, want %q", tc.have, err, tc.want)
		}
	}
	// Before Linux 5.8 there is CAP_SYS_ADMIN only.
	wantError(t, bpf.require("x", 39, false), nil, "needs CAP_SYS_ADMIN")
}

// TestMissingType is about a program whose CO-RE relocation nothing here matches.
func TestMissingType(t *testing.T) {
	b := newBench(t)
	all := foreignObjects(t)
	i := slices.IndexFunc(all, func(path string) bool { return strings.HasSuffix(path, "testdata/relocs_read-el.elf") })
	places, ok := foreignPlaces(t, all[i])
	if !ok {
		t.Fatalf("%s is no object", all[i])
	}
	_, err := b.Run(t.Context(), verified(t, "c", all[i]), RunOptions{Attach: attachments(t, places...)})
	wantError(t, err, nil, "does not have", kernelRelease(), "CO-RE")
}

// TestFolderOfOthers: on a bpffs that is mounted without a mode, anybody can make the
// folder of pins before us.
func TestFolderOfOthers(t *testing.T) {
	b := newBench(t)
	b.ownBPFFS()
	if err := errors.Join(os.Mkdir(b.opts.BPFFS, 0o700), os.Chown(b.opts.BPFFS, 65534, -1)); err != nil {
		t.Fatal(err)
	}
	_, err := b.Run(t.Context(), verified(t, "x", objPass), RunOptions{Attach: attachments(t, "pass=xdp:"+dev)})
	wantError(t, err, dispatcher.ErrNotPrivate, `"bpfimg"`, "chown root")
}
