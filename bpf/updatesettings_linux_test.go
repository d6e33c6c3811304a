// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"os"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/schemas"
)

// TestUpdateSettings is about what a run was told of variables, map sizes and who
// may open the maps: it counts on after updates, unless told otherwise.
func TestUpdateSettings(t *testing.T) {
	b := newBench(t)
	opts := mapsImage(t, "x", "sample_rate=100")
	opts.MaxEntries, opts.MapMode = map[string]uint32{"flows": 4096}, 0o660
	b.start(verified(t, "x", objMaps), opts)
	send(t, peer, 1)

	u := b.update("x", verified(t, "x", objMaps), UpdateOptions{Force: true})
	send(t, peer, 1)
	b.wantDump("x", ".bss", `"total":200`, `"tailed":2`, `"untailed":0`)
	b.checkSettings(u.Instance, "100", 4096)

	u = b.update("x", verified(t, "x", objMaps), UpdateOptions{
		FreshMaps: true, MaxEntries: map[string]uint32{"flows": 512}, Set: []schemas.VariableSetting{{Name: "sample_rate", Value: "3"}},
	})
	send(t, peer, 1)
	b.wantDump("x", ".bss", `"total":3`, `"tailed":1`)
	b.checkSettings(u.Instance, "3", 512)

	// An image without that variable and that map.
	u = b.update("x", verified(t, "x", objCounter), UpdateOptions{Attach: attachments(t, "xdp_count=none")})
	if len(u.Instance.Variables) != 0 || len(u.Instance.MaxEntries) != 0 {
		t.Errorf("recorded: %v, %v", u.Instance.Variables, u.Instance.MaxEntries)
	}
	b.stop(u.Instance)
}

func (b *bench) checkSettings(rec schemas.Instance, rate string, flows uint32) {
	b.t.Helper()
	if want := []schemas.VariableSetting{{Name: "sample_rate", Value: rate}}; !slices.Equal(rec.Variables, want) {
		b.t.Errorf("recorded variables: %v, want %v", rec.Variables, want)
	}
	d, err := b.Describe(b.t.Context(), rec.Name)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range d.MapDetails {
		if m.Name == "flows" && m.MaxEntries != flows {
			b.t.Errorf("map flows has %d entries, want %d", m.MaxEntries, flows)
		}
	}
	for _, m := range rec.Maps {
		info, err := os.Stat(m.Pin)
		if err != nil {
			b.t.Fatal(err)
		}
		if info.Mode().Perm() != 0o660 {
			b.t.Errorf("the pin of map %q has mode %v", m.Name, info.Mode())
		}
	}
}

// TestUpdateSettingsOfObjects: what was asked for by FILE/NAME counts on as well,
// unless it is asked for anew or the new image has nothing of that name.
func TestUpdateSettingsOfObjects(t *testing.T) {
	desc := schemas.Description{Objects: []schemas.Object{{
		File: "a.bpf.o", Variables: []schemas.Variable{{Name: "rate"}, {Name: "bias"}}, Maps: []schemas.Map{{Name: "flows"}},
	}}}
	old := &schemas.Instance{
		Variables:  []schemas.VariableSetting{{Name: "a/rate", Value: "1"}, {Name: "bias", Value: "2"}, {Name: "a/gone", Value: "3"}},
		MaxEntries: map[string]uint32{"a/flows": 5, "a/gone": 6},
	}
	got := updateVariables(desc, old, []schemas.VariableSetting{{Name: "bias", Value: "4"}})
	if want := []schemas.VariableSetting{{Name: "bias", Value: "4"}, {Name: "a/rate", Value: "1"}}; !slices.Equal(got, want) {
		t.Errorf("variables %v, want %v", got, want)
	}
	if got := updateSizes(desc, old, nil); len(got) != 1 || got["a/flows"] != 5 {
		t.Errorf("sizes %v", got)
	}
}

// TestResize is about maps whose size cannot be chosen, or not that one.
func TestResize(t *testing.T) {
	inner := []ebpf.MapKV{{Key: uint32(0), Value: "m"}}
	for _, tt := range []struct {
		name string
		spec ebpf.MapSpec
		in   []ebpf.MapKV // what the map of maps holds
		want string
	}{
		{"hash", ebpf.MapSpec{Type: ebpf.Hash}, nil, ""},
		{"storage of sockets", ebpf.MapSpec{Type: ebpf.SkStorage}, nil, "no size of their own"},
		{"storage of cgroups", ebpf.MapSpec{Type: ebpf.CgroupStorage}, nil, "no size of their own"},
		{"struct_ops", ebpf.MapSpec{Type: ebpf.StructOpsMap}, nil, "no size of their own"},
		{"filled up to the size", ebpf.MapSpec{Type: ebpf.Array, Contents: []ebpf.MapKV{{Key: uint32(3)}}}, nil, ""},
		{"filled behind it", ebpf.MapSpec{Type: ebpf.Array, Contents: []ebpf.MapKV{{Key: uint32(4)}}}, nil, "the object fills entry 4"},
		{"inner array", ebpf.MapSpec{Type: ebpf.Array}, inner, `it is an inner map of "outer"`},
		{"inner array of any size", ebpf.MapSpec{Type: ebpf.Array, Flags: flagInnerMap}, inner, ""},
		{"inner hash", ebpf.MapSpec{Type: ebpf.Hash}, inner, ""},
	} {
		o := &object{spec: &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{
			"m": &tt.spec, "outer": {Type: ebpf.ArrayOfMaps, InnerMap: &ebpf.MapSpec{}, Contents: tt.in},
		}}}
		err := o.resize("m", 4)
		if tt.want != "" {
			t.Log(tt.name)
			wantError(t, err, ErrSetting, tt.want)
		} else if err != nil || tt.spec.MaxEntries != 4 {
			t.Errorf("%s: %d entries, %v", tt.name, tt.spec.MaxEntries, err)
		}
	}
}
