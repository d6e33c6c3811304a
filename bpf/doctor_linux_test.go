// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
)

// found are the findings about instances and files, without notes on the machine.
func (b *bench) found(repair bool) []Finding {
	b.t.Helper()
	look := b.Examine
	if repair {
		look = b.Repair
	}
	all, err := look(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	var out []Finding
	for _, f := range all {
		if !f.Note {
			out = append(out, f)
		}
	}
	return out
}

// TestDoctor spoils a running instance in one way each time: the doctor must say
// what is wrong, change nothing unless asked to, and leave nothing when asked.
func TestDoctor(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil   func(b *bench, rec schemas.Instance) error
		problem string
		// keeps: what works is not taken away, so the instance stays.
		keeps bool
	}{
		"no record": {
			func(b *bench, rec schemas.Instance) error { return b.forget(rec.Name) },
			"pins without a record", false,
		},
		"damaged record": {
			func(b *bench, rec schemas.Instance) error { return os.WriteFile(b.recordPath(rec.Name), nil, 0o600) },
			"damaged", false,
		},
		"interrupted start": {
			func(b *bench, rec schemas.Instance) error { rec.State = stateStarting; return b.save(&rec) },
			"start was interrupted", false,
		},
		"interrupted stop": {
			func(b *bench, rec schemas.Instance) error { rec.State = stateStopping; return b.save(&rec) },
			"stop was interrupted", false,
		},
		"detached": {
			func(b *bench, rec schemas.Instance) error {
				return joined.Errors(os.Remove(rec.Links[0].Pin), removeFilters([]uint32{rec.Programs[2].ID}))
			},
			"nothing of it is attached", false,
		},
		"half detached": {
			func(b *bench, rec schemas.Instance) error { return os.Remove(rec.Links[0].Pin) },
			`the attachment of program "xdp_count" is gone`, true,
		},
		"stray pin": {
			func(b *bench, rec schemas.Instance) error {
				m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
				if err != nil {
					return err
				}
				return joined.Errors(m.Pin(filepath.Join(rec.PinPath, pinMaps, "stray")), m.Close())
			},
			"does not know the pin", true,
		},
		"half-written record": {
			func(b *bench, rec schemas.Instance) error {
				return os.WriteFile(filepath.Join(b.recordDir(), ".new-1"), nil, 0o600)
			},
			"never finished", true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			rec := b.start(verified(t, "c", objCounter, objTC), RunOptions{Attach: attachments(t,
				"xdp_count=xdp:"+dev+",via=link", "tc_ingress=tc:"+dev+",via=clsact", "tc_egress=none")})
			if list := b.found(false); len(list) != 0 {
				t.Fatalf("findings on a healthy instance: %+v", list)
			}
			if err := tc.spoil(b, rec); err != nil {
				t.Fatal(err)
			}
			list := b.found(false)
			if len(list) != 1 || !strings.Contains(list[0].Problem, tc.problem) || list[0].Fixed || list[0].Remedy == "" {
				t.Fatalf("found %+v, want one that says %q", list, tc.problem)
			}
			again := b.found(true)
			if len(again) != 1 || again[0].Problem != list[0].Problem || again[0].Fixed != list[0].Fixable || again[0].Error != "" {
				t.Errorf("repaired: %+v, found before: %+v", again, list)
			}
			if !tc.keeps {
				// Without its record nobody knows whose the qdisc is.
				if list[0].Problem != "" && (name == "no record" || name == "damaged record") {
					delQdisc(t)
				}
				b.checkGone(rec)
			}
			if left := b.found(false); list[0].Fixable && len(left) != 0 {
				t.Errorf("still there: %+v", left)
			}
			if tc.keeps {
				if x := netlinkByName(t, dev).Attrs().Xdp; name != "half detached" && (x == nil || !x.Attached) {
					t.Error("the doctor detached what worked")
				}
				b.stop(rec)
			}
		})
	}
}

// delQdisc removes the clsact qdisc, which must hold no filter.
func delQdisc(t *testing.T) {
	t.Helper()
	index := uint32(netlinkByName(t, dev).Attrs().Index)
	if used, err := clsactUsed(index); err != nil || used {
		t.Errorf("a filter is left (%v)", err)
	}
	if err := netlink.QdiscDel(clsact(index)); err != nil {
		t.Error(err)
	}
}

func TestDescribe(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "c", objCounter), RunOptions{Iface: dev})
	d, err := b.Describe(t.Context(), "c")
	if err != nil {
		t.Fatal(err)
	}
	if len(d.ProgramDetails) != 1 || len(d.MapDetails) != len(rec.Maps) || len(rec.Maps) == 0 {
		t.Fatalf("%d programs, %d maps, of %d and %d", len(d.ProgramDetails), len(d.MapDetails), len(rec.Programs), len(rec.Maps))
	}
	if p := d.ProgramDetails[0]; p.ID != rec.Programs[0].ID || len(p.Maps) == 0 || p.Translated == 0 || p.LoadedAfter == 0 {
		t.Errorf("program: %+v", p)
	}
	var memory uint64
	for _, m := range d.MapDetails {
		if m.MaxEntries == 0 || m.ValueSize == 0 || m.Memory == 0 {
			t.Errorf("map: %+v", m)
		}
		memory += m.Memory
	}
	if d.MapMemory != memory {
		t.Errorf("map memory %d, want %d", d.MapMemory, memory)
	}
	b.stop(rec)
	_, err = b.Describe(t.Context(), "c")
	wantError(t, err, ErrNoInstance, `"c"`)
}

// TestMeasure counts runs while they happen: those of a program that is alone.
func TestMeasure(t *testing.T) {
	b := newBench(t)
	rec := b.start(verified(t, "c", objCounter), RunOptions{Attach: attachments(t, "xdp_count=xdp:"+dev+",via=link")})
	counting, err := ebpf.EnableStats(0)
	if err != nil {
		t.Fatal(err)
	}
	send(t, peer, 5)
	if err := counting.Close(); err != nil {
		t.Fatal(err)
	}
	st, err := b.Get(t.Context(), "c")
	if err != nil || len(st.Runs) != 1 || st.Runs[0].Count != 5 || st.Runs[0].Time <= 0 || st.Runs[0].Average() != st.Runs[0].Time/5 {
		t.Errorf("%+v, %v", st.Runs, err)
	}
	// What was counted before does not count.
	list, err := b.Measure(t.Context(), 1)
	if err != nil || len(list) != 1 || len(list[0].Runs) != 1 || list[0].Runs[0].Count != 0 || !list[0].Counting {
		t.Errorf("%+v, %v", list, err)
	}
	b.stop(rec)
}
