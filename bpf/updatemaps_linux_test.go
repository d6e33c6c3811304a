// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// TestConstant is about the maps that an update never keeps.
func TestConstant(t *testing.T) {
	for _, tt := range []struct {
		name string
		spec ebpf.MapSpec
		want bool
	}{
		{".rodata", ebpf.MapSpec{Type: ebpf.Array}, true},
		{".rodata.str1.1", ebpf.MapSpec{Type: ebpf.Array}, true},
		{".kconfig", ebpf.MapSpec{Type: ebpf.Array}, true},
		{"ops", ebpf.MapSpec{Type: ebpf.StructOpsMap}, true},
		{"__bpf_usdt_specs", ebpf.MapSpec{Type: ebpf.Array}, true},
		{"__bpf_usdt_ip_to_spec_id", ebpf.MapSpec{Type: ebpf.Hash}, true},
		{"table", ebpf.MapSpec{Type: ebpf.Array, Flags: unix.BPF_F_RDONLY_PROG}, true},
		{"table", ebpf.MapSpec{Type: ebpf.Array, Flags: unix.BPF_F_RDONLY}, false},
		{"flows", ebpf.MapSpec{Type: ebpf.Hash}, false},
		{".data", ebpf.MapSpec{Type: ebpf.Array}, false},
		{".bss", ebpf.MapSpec{Type: ebpf.Array, Flags: unix.BPF_F_MMAPABLE}, false},
	} {
		if got := constant(tt.name, &tt.spec); got != tt.want {
			t.Errorf("%s, type %s, flags %#x: %v, want %v", tt.name, tt.spec.Type, tt.spec.Flags, got, tt.want)
		}
	}
}

// Types of keys and values for the maps of [TestMapDiffers].
var (
	typeU32 = &btf.Int{Name: "unsigned int", Size: 4}
	typeS32 = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	typeU64 = &btf.Int{Name: "unsigned long", Size: 8}
)

// hashMap has types for key and value; bareMap is the same without.
func hashMap() *ebpf.MapSpec {
	spec := bareMap()
	spec.Key, spec.Value = typeU32, typeU64
	return spec
}

func bareMap() *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "m", Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 8}
}

// bloomMap is of the one type whose map_extra is free to choose: how many hash
// functions it has (Linux 5.16).
func bloomMap() *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "bloom", Type: ebpf.BloomFilter, ValueSize: 4, MaxEntries: 8, MapExtra: 3}
}

// mapsOf is an array of one map, of that definition.
func mapsOf(inner *ebpf.MapSpec) *ebpf.MapSpec {
	return &ebpf.MapSpec{Name: "outer", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, InnerMap: inner}
}

// variables are the map of a data section with one variable in it.
func variables(name string) *ebpf.MapSpec {
	section := &btf.Datasec{Name: ".bss", Size: 8, Vars: []btf.VarSecinfo{{
		Type: &btf.Var{Name: name, Type: typeU64, Linkage: btf.GlobalVar}, Size: 8,
	}}}
	return &ebpf.MapSpec{Name: ".bss", Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Key: &btf.Void{}, Value: section}
}

// altered is spec after change.
func altered(spec *ebpf.MapSpec, change func(*ebpf.MapSpec)) *ebpf.MapSpec {
	change(spec)
	return spec
}

// TestMapDiffers: a map is kept when nothing of its definition has changed that the
// kernel tells of the map there is: type, sizes, flags, map_extra, the types of keys
// and values, and all of this of inner maps. (The kernel does not tell which NUMA
// node was asked for.)
func TestMapDiffers(t *testing.T) {
	needRoot(t)
	const changed = "its definition has changed ("
	inner := func(change func(*ebpf.MapSpec)) *ebpf.MapSpec { return mapsOf(altered(hashMap(), change)) }
	for _, tt := range []struct {
		name      string
		was, spec *ebpf.MapSpec
		want      string // "" when it is kept
	}{
		{"same", hashMap(), hashMap(), ""},
		{"same, untyped", bareMap(), bareMap(), ""},
		{"type", bareMap(), altered(bareMap(), func(s *ebpf.MapSpec) { s.Type = ebpf.LRUHash }), changed + "Type: "},
		{"key size", bareMap(), altered(bareMap(), func(s *ebpf.MapSpec) { s.KeySize = 8 }), changed + "KeySize: 4 changed to 8)"},
		{"value size", bareMap(), altered(bareMap(), func(s *ebpf.MapSpec) { s.ValueSize = 16 }), changed + "ValueSize: 8 changed to 16)"},
		{"entries", bareMap(), altered(bareMap(), func(s *ebpf.MapSpec) { s.MaxEntries = 9 }), changed + "MaxEntries: 8 changed to 9)"},
		{"flags", bareMap(), altered(bareMap(), func(s *ebpf.MapSpec) { s.Flags = unix.BPF_F_NO_PREALLOC }), changed + "Flags: 0 changed to 1)"},
		{"flags, fewer", altered(bareMap(), func(s *ebpf.MapSpec) { s.Flags = unix.BPF_F_NO_PREALLOC }), bareMap(), changed + "Flags: 1 changed to 0)"},
		{"same map_extra", bloomMap(), bloomMap(), ""},
		{"map_extra", bloomMap(), altered(bloomMap(), func(s *ebpf.MapSpec) { s.MapExtra = 5 }), changed + "MapExtra: 3 changed to 5)"},
		{"no map_extra any more", bloomMap(), altered(bloomMap(), func(s *ebpf.MapSpec) { s.MapExtra = 0 }), changed + "MapExtra: 3 changed to 0)"},
		{"type of keys", hashMap(), altered(hashMap(), func(s *ebpf.MapSpec) { s.Key = typeS32 }), "the type of its keys has changed"},
		{"type of values", hashMap(), altered(hashMap(), func(s *ebpf.MapSpec) { s.Value = &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed} }), "the type of its values has changed"},
		{"types not known then", bareMap(), hashMap(), ""},
		{"types not known now", hashMap(), bareMap(), ""},
		{"programs of the image", nil, &ebpf.MapSpec{Name: "jumps", Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1, Contents: []ebpf.MapKV{{Key: uint32(0), Value: "p"}}}, "it holds programs or maps that the image gives it"},
		{"array of maps of the image", nil, altered(mapsOf(bareMap()), func(s *ebpf.MapSpec) { s.Contents = []ebpf.MapKV{{Key: uint32(0), Value: "m"}} }), "it holds programs or maps that the image gives it"},
		{"hash of maps of the image", nil, altered(mapsOf(bareMap()), func(s *ebpf.MapSpec) {
			s.Type, s.Contents = ebpf.HashOfMaps, []ebpf.MapKV{{Key: uint32(0), Value: "m"}}
		}), "it holds programs or maps that the image gives it"},
		{"inner, same", mapsOf(hashMap()), mapsOf(hashMap()), ""},
		{"inner entries", mapsOf(hashMap()), inner(func(s *ebpf.MapSpec) { s.MaxEntries = 9 }), changed + "MaxEntries: 8 changed to 9)"},
		{"inner type of values", mapsOf(hashMap()), inner(func(s *ebpf.MapSpec) { s.Value = &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed} }), "the type of its values has changed"},
		{"inner map_extra", mapsOf(bloomMap()), mapsOf(altered(bloomMap(), func(s *ebpf.MapSpec) { s.MapExtra = 5 })), changed + "MapExtra: 3 changed to 5)"},
		{"variables, same", variables("total"), variables("total"), ""},
		{"variables, names", variables("total"), variables("sum"), "its variables have changed"},
		{"variables, mapped by the loader", altered(variables("total"), func(s *ebpf.MapSpec) { s.Flags = unix.BPF_F_MMAPABLE }), variables("total"), ""},
		{"variables, other flags", altered(variables("total"), func(s *ebpf.MapSpec) { s.Flags = unix.BPF_F_RDONLY }), variables("total"), changed + "Flags: "},
		{"variables not known then", altered(variables("total"), func(s *ebpf.MapSpec) { s.Key, s.Value = nil, nil }), variables("total"), "the layout of its variables is not known"},
		{"variables not known now", variables("total"), altered(variables("total"), func(s *ebpf.MapSpec) { s.Key, s.Value = nil, nil }), "the layout of its variables is not known"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.was == nil {
				tt.was = tt.spec.Copy()
				tt.was.Contents = nil
			}
			if hasBloom(tt.was) && !kernelAtLeast(5, 16) {
				t.Skip("SKIP-REASON: runs on Linux 5.16 and newer, it needs Bloom filters")
			}
			got, err := differs(tt.spec, newMap(t, tt.was))
			if err != nil || !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
				t.Errorf("%q (%v), want %q", got, err, tt.want)
			}
		})
	}
}

func hasBloom(spec *ebpf.MapSpec) bool {
	return spec.Type == ebpf.BloomFilter || spec.InnerMap != nil && hasBloom(spec.InnerMap)
}

// newMap makes a map, with a map in it where it is one of maps.
func newMap(t *testing.T, spec *ebpf.MapSpec) *ebpf.Map {
	t.Helper()
	m := must[*ebpf.Map](t)(ebpf.NewMap(spec))
	t.Cleanup(func() { m.Close() })
	if spec.InnerMap != nil {
		inner := newMap(t, spec.InnerMap)
		if err := m.Put(uint32(1), inner); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// TestMapDiffersEmpty: of inner maps the kernel tells only those there are.
func TestMapDiffersEmpty(t *testing.T) {
	needRoot(t)
	m := must[*ebpf.Map](t)(ebpf.NewMap(mapsOf(hashMap())))
	defer m.Close()
	got, err := differs(mapsOf(hashMap()), m)
	if want := "it was empty, and what may go into it cannot be compared"; got != want || err != nil {
		t.Errorf("%q (%v), want %q", got, err, want)
	}
}

// TestMapDiffersAsLoaded: what the loader makes of the maps of an object is what
// their definitions say, or no update would keep one.
func TestMapDiffersAsLoaded(t *testing.T) {
	needRoot(t)
	object := must[[]byte](t)(os.ReadFile(objV1))
	coll := must[*ebpf.Collection](t)(ebpf.NewCollection(must[*ebpf.CollectionSpec](t)(inspect.Load(object))))
	defer coll.Close()
	spec := must[*ebpf.CollectionSpec](t)(inspect.Load(object))
	for _, name := range []string{"seen", "flows", "sized", ".bss", ".data"} {
		if got, err := differs(spec.Maps[name], coll.Maps[name]); got != "" || err != nil {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
