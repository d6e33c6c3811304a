// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"testing"

	"github.com/cilium/ebpf/btf"
)

func TestSameType(t *testing.T) {
	u32 := func() btf.Type { return &btf.Int{Name: "unsigned int", Size: 4} }
	u64 := func() btf.Type { return &btf.Int{Name: "unsigned long long", Size: 8} }
	record := func(name string, members ...btf.Member) btf.Type {
		return &btf.Struct{Name: name, Size: 8, Members: members}
	}
	member := func(name string, t btf.Type, offset btf.Bits) btf.Member {
		return btf.Member{Name: name, Type: t, Offset: offset}
	}
	list := func(target string) btf.Type {
		node := &btf.Struct{Name: "node", Size: 8}
		node.Members = []btf.Member{member("next", &btf.Pointer{Target: node}, 0)}
		if target != "" {
			node.Members[0].Type = &btf.Pointer{Target: &btf.Struct{Name: target}}
		}
		return node
	}
	endless := func() btf.Type { // not possible in C, and in foreign BTF it is
		s := &btf.Struct{Name: "s", Size: 8}
		s.Members = []btf.Member{member("s", s, 0)}
		return s
	}
	section := func(name string, t btf.Type) btf.Type {
		return &btf.Datasec{Name: ".bss", Size: 8, Vars: []btf.VarSecinfo{{Type: &btf.Var{Name: name, Type: t}, Size: 8}}}
	}
	for _, tc := range []struct {
		name string
		a, b btf.Type
		want bool
	}{
		{"integers", u32(), u32(), true},
		{"sizes", u32(), u64(), false},
		{"signs", u32(), &btf.Int{Name: "unsigned int", Size: 4, Encoding: btf.Signed}, false},
		{"typedef and const", &btf.Typedef{Name: "__u32", Type: u32()}, &btf.Const{Type: u32()}, true},
		{"structs", record("c", member("a", u32(), 0), member("b", u32(), 32)), record("c", member("a", u32(), 0), member("b", u32(), 32)), true},
		{"names of members", record("c", member("a", u32(), 0)), record("c", member("b", u32(), 0)), false},
		{"names of structs", record("c", member("a", u32(), 0)), record("d", member("a", u32(), 0)), false},
		{"offsets", record("c", member("a", u32(), 0)), record("c", member("a", u32(), 32)), false},
		{"fewer members", record("c", member("a", u32(), 0)), record("c"), false},
		{"arrays", &btf.Array{Type: u32(), Nelems: 2}, &btf.Array{Type: u32(), Nelems: 3}, false},
		{"lists", list(""), list(""), true},
		{"pointers to others", list(""), list("other"), false},
		{"endless", endless(), endless(), true},
		{"enums", &btf.Enum{Name: "e", Size: 4, Values: []btf.EnumValue{{Name: "A"}}}, &btf.Enum{Name: "e", Size: 4, Values: []btf.EnumValue{{Name: "A", Value: 1}}}, false},
		{"variables", section("x", u64()), section("x", u64()), true},
		{"names of variables", section("x", u64()), section("y", u64()), false},
		{"struct and union", record(""), &btf.Union{Size: 8}, false},
	} {
		if got := sameType(tc.a, tc.b); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
		if got := sameType(tc.b, tc.a); got != tc.want {
			t.Errorf("%s, the other way round: %v, want %v", tc.name, got, tc.want)
		}
	}
}
