// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestMapDifferences: a map of somebody else must be like the object's own.
func TestMapDifferences(t *testing.T) {
	spec := ebpf.MapSpec{Name: "m", Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 8}
	like := ebpf.MapInfo{Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 8}
	for _, tt := range []struct {
		name   string
		change func(*ebpf.MapSpec, *ebpf.MapInfo)
		want   string // parts of it joined by ", "
	}{
		{"alike", func(*ebpf.MapSpec, *ebpf.MapInfo) {}, ""},
		{"type", func(_ *ebpf.MapSpec, has *ebpf.MapInfo) { has.Type = ebpf.LRUHash }, "it is of type lruhash instead of hash"},
		{"key", func(_ *ebpf.MapSpec, has *ebpf.MapInfo) { has.KeySize = 8 }, "its key size is 8 instead of 4"},
		{"value", func(_ *ebpf.MapSpec, has *ebpf.MapInfo) { has.ValueSize = 4 }, "its value size is 4 instead of 8"},
		{"entries", func(_ *ebpf.MapSpec, has *ebpf.MapInfo) { has.MaxEntries = 9 }, "it has 9 entries instead of 8 (--map-max-entries m=9 makes them alike)"},
		{"any number of entries", func(s *ebpf.MapSpec, has *ebpf.MapInfo) { s.MaxEntries, has.MaxEntries = 0, 9 }, ""},
		{"flags", func(_ *ebpf.MapSpec, has *ebpf.MapInfo) { has.Flags = unix.BPF_F_NO_PREALLOC }, "its flags are 0x1 instead of 0x0"},
		// Since Linux 4.18 the kernel adds BPF_F_RDONLY_PROG to those (dev_map_init_map).
		{"flags of a devmap", func(s *ebpf.MapSpec, has *ebpf.MapInfo) {
			s.Type, has.Type, has.Flags = ebpf.DevMap, ebpf.DevMap, unix.BPF_F_RDONLY_PROG
		}, ""},
		{"flags of a devmap_hash", func(s *ebpf.MapSpec, has *ebpf.MapInfo) {
			s.Type, has.Type, has.Flags = ebpf.DevMapHash, ebpf.DevMapHash, unix.BPF_F_RDONLY_PROG
		}, ""},
		{"several", func(_ *ebpf.MapSpec, has *ebpf.MapInfo) { has.KeySize, has.ValueSize = 8, 4 }, "its key size is 8 instead of 4, its value size is 4 instead of 8"},
	} {
		s, has := spec, like
		tt.change(&s, &has)
		o := &object{spec: &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{"m": &s}}}
		if got := strings.Join(o.differences("m", &has), ", "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestMapGivenTwice: one of the two would go unused.
func TestMapGivenTwice(t *testing.T) {
	needRoot(t)
	o := &object{spec: &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{"m": bareMap()}}}
	if err := o.take("m", "m", borrowed{m: newMap(t, bareMap()), from: "first"}); err != nil {
		t.Fatal(err)
	}
	second := newMap(t, bareMap())
	wantError(t, o.take("m", "m", borrowed{m: second, from: "second"}), ErrSetting, `map "m" is given twice, as first and as second`)
	if second.FD() >= 0 {
		t.Error("the second map is left open")
	}
}

// TestLeaveShared: a stop does not wait for maps that another instance has, and does
// for one whose number another instance had before the machine was started anew.
func TestLeaveShared(t *testing.T) {
	for _, tt := range []struct {
		name  string
		other schemas.Instance
		want  []uint32
	}{
		{"shared", schemas.Instance{Name: "other", BootID: "now", Maps: []schemas.InstanceMap{{Name: "m", ID: 7}}}, []uint32{8}},
		{"of another boot", schemas.Instance{Name: "other", BootID: "before", Maps: []schemas.InstanceMap{{Name: "m", ID: 7}}}, []uint32{7, 8}},
		{"other maps", schemas.Instance{Name: "other", BootID: "now", Maps: []schemas.InstanceMap{{Name: "m", ID: 9}}}, []uint32{7, 8}},
		{"its own record", schemas.Instance{Name: "x", BootID: "now", Maps: []schemas.InstanceMap{{Name: "m", ID: 7}}}, []uint32{7, 8}},
	} {
		r := &removal{m: stateOnly(t, tt.other), rec: &schemas.Instance{Name: "x", BootID: "now"}, ids: kernelIDs{maps: []uint32{7, 8}}}
		if err := r.leaveShared("x"); err != nil || !slices.Equal(r.ids.maps, tt.want) {
			t.Errorf("%s: waits for %v (%v), want %v", tt.name, r.ids.maps, err, tt.want)
		}
	}
}

// TestUpdateKeepsShared: a borrowed map that an update keeps stays somebody else's.
func TestUpdateKeepsShared(t *testing.T) {
	b := newBench(t)
	first := b.start(verified(t, "x", objMaps), mapsImage(t, "first"))
	more := verified(t, "x", "testdata/moremaps.bpf.o")
	b.start(more, RunOptions{
		Name: "second", Attach: attachments(t, "more=none"), ShareMaps: []string{"first"}, MaxEntries: map[string]uint32{"flows": 1024},
	})
	u := b.update("second", more, UpdateOptions{})
	if m := mapOf(t, u.Instance, "flows"); m.Shared != "first" || m.ID != mapOf(t, first, "flows").ID {
		t.Errorf("recorded as %+v", m)
	}
	if err := b.Stop(t.Context(), "second"); err != nil {
		t.Fatal(err)
	}
	b.stop(first)
}
