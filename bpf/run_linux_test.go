// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
)

// countOf is the packet count of protocol 253 in the XDP counter's map.
func countOf(t *testing.T, d MapDump) json.Number {
	t.Helper()
	for _, e := range d.Entries {
		if e.Key == json.Number("253") {
			return e.Value.(Struct)[0].Value.(json.Number)
		}
	}
	return "0"
}

func TestXDPNative(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "net/xdp-counter", objCounter), RunOptions{Iface: dev})
	if rec.Name != "xdp-counter" || rec.Links[0].Options["mode"] != "native" || !rec.Unverified ||
		rec.Reference != "registry.example/net/xdp-counter:v1" {
		t.Errorf("record: %+v", rec)
	}
	send(t, peer, 3)
	d, text := b.dump(rec.Name, "pkts")
	if got := countOf(t, d); got != "3" {
		t.Errorf("%s packets counted, want 3: %s", got, text)
	}
	if !strings.Contains(text, `"valueType":"struct counter"`) || len(d.Entries[0].PerCPU) == 0 {
		t.Errorf("dump: %s", text)
	}
	b.stop(rec)
}

func TestXDPGeneric(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "c", objCounter), RunOptions{Attach: attachments(t, "xdp_count=xdp:"+dev+",mode=generic")})
	send(t, peer, 2)
	if d, text := b.dump(rec.Name, "pkts"); countOf(t, d) != "2" {
		t.Errorf("dump: %s", text)
	}
	b.stop(rec)
}

// TestXDPFallback is about a driver without native XDP.
func TestXDPFallback(t *testing.T) {
	b := newBench(t)
	bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "slow0"}}
	if err := netlink.LinkAdd(bridge); err != nil {
		t.Skipf("SKIP-REASON: needs a kernel with bridges (CONFIG_BRIDGE): %v", err)
	}
	v := verified(t, "c", objCounter)
	_, err := b.Run(t.Context(), v, RunOptions{Attach: attachments(t, "xdp_count=xdp:slow0,mode=native")})
	wantError(t, err, nil, `driver of "slow0"`, "mode=generic")
	rec := b.start(v, RunOptions{Iface: "slow0"})
	if l := rec.Links[0]; l.Options["mode"] != "generic" || len(l.Notices) == 0 || !strings.Contains(l.Notices[len(l.Notices)-1], "generic mode") {
		t.Errorf("link: %+v", l)
	}
	b.stop(rec)
}

func TestXDPSlotTaken(t *testing.T) {
	b := newBench(t)
	v := verified(t, "first", objCounter)
	rec := b.start(v, RunOptions{Attach: attachments(t, "xdp_count=xdp:"+dev+",via=link")})
	b.opts.step = func(step string) error {
		t.Errorf("step %q in spite of the taken slot", step)
		return nil
	}
	b.reopen()
	for _, mode := range []string{"native", "generic"} {
		_, err := b.Run(t.Context(), v, RunOptions{Name: "second", Attach: attachments(t, "xdp_count=xdp:"+dev+",mode="+mode)})
		wantError(t, err, nil, "slot", `instance "first"`, `program "xdp_count"`)
	}
	b.opts.State = t.TempDir() // a stranger's program from here
	b.reopen()
	_, err := b.Run(t.Context(), v, RunOptions{Name: "second", Iface: dev})
	wantError(t, err, nil, "slot", `"xdp_count" (id`, "bpfimg did not attach")
	b.disarm()
	// Records only: the second manager shares the pins' parent folder.
	if r, err := b.record("second"); err != nil || r != nil {
		t.Errorf("a refused run left a record: %v, %v", r, err)
	}
	b.stop(rec)
}

func TestTC(t *testing.T) {
	for _, via := range []string{viaTCX, viaClsact} {
		t.Run(via, func(t *testing.T) {
			b := newBench(t)
			if via == viaTCX && !haveTCX(&placement{}) && !kernelAtLeast(6, 6) {
				t.Skip("SKIP-REASON: runs on Linux 6.6 and newer, it needs tcx")
			}
			rec := b.start(verified(t, "net/tc-bytes", objTC), RunOptions{Attach: attachments(t,
				"tc_ingress=tc:"+dev+",via="+via, "tc_egress=tc:"+dev+",via="+via)})
			send(t, peer, 3)
			send(t, dev, 2)
			d, text := b.dump(rec.Name, "traffic")
			want := map[any]json.Number{json.Number("0"): "3", json.Number("1"): "2"} // enum direction
			for _, e := range d.Entries {
				if got, _ := e.Value.(Struct); len(got) != 2 || got[0].Value != want[e.Key] {
					t.Errorf("%v: %v packets, want %v: %s", e.Key, got, want[e.Key], text)
				}
				delete(want, e.Key)
			}
			if len(want) > 0 {
				t.Errorf("not counted: %v: %s", want, text)
			}
			b.stop(rec)
		})
	}
}

func TestTracepoint(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "net/exec", objExec), RunOptions{})
	if err := exec.Command("/bin/true").Run(); err != nil {
		t.Fatal(err)
	}
	d, text := b.dump(rec.Name, "execs")
	if len(d.Entries) == 0 || !strings.Contains(text, `"comm":"true"`) {
		t.Errorf("dump: %s", text)
	}
	b.stop(rec)
	_, err := b.Run(t.Context(), verified(t, "exec", objExec), RunOptions{Attach: attachments(t, "count_exec=tracepoint:sched/no_such")})
	wantError(t, err, ErrNoTarget, `no tracepoint "sched/no_such"`)
	_, err = b.Run(t.Context(), verified(t, "exec", objExec), RunOptions{Attach: attachments(t, "count_exec=tracepoint:../x")})
	wantError(t, err, ErrUsage, "group/name")
}

// TestKprobe runs where the kernel has kprobes, and elsewhere checks that the
// person is told plainly.
func TestKprobe(t *testing.T) {
	b := newBench(t)
	v := verified(t, "unlink", objUnlink)
	if !haveProbes("kprobe") {
		_, err := b.Run(t.Context(), v, RunOptions{})
		wantError(t, err, nil, "was built without kprobes (CONFIG_KPROBES)", kernelRelease())
		if rec, err := b.record("unlink"); err != nil || rec != nil {
			t.Errorf("left: %v, %v", rec, err)
		}
		return
	}
	rec := b.start(v, RunOptions{})
	path := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if d, text := b.dump(rec.Name, "calls"); d.Entries[0].Value == json.Number("0") {
		t.Errorf("dump: %s", text)
	}
	b.stop(rec)
	_, err := b.Run(t.Context(), v, RunOptions{Attach: attachments(t, "count_unlink=kprobe:no_such_function_at_all", "time_unlink=none")})
	wantError(t, err, ErrNoTarget, "no_such_function_at_all")
}

func TestSeveralObjects(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "many", objExec, objCounter, objTC), RunOptions{Attach: attachments(t,
		"xdp_count=xdp:"+dev, "tc_ingress=tc:"+dev+",priority=9", "tc_egress=none")})
	if len(rec.Programs) != 4 || len(rec.Links) != 3 || len(rec.Maps) != 3 {
		t.Errorf("record: %+v", rec)
	}
	b.stop(rec)
}
