// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"encoding/binary"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

func TestDefaultValue(t *testing.T) {
	u8, u16 := &btf.Int{Name: "__u8", Size: 1}, &btf.Int{Name: "__u16", Size: 2}
	s32, u64 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, &btf.Int{Name: "__u64", Size: 8}
	char := &btf.Int{Name: "char", Size: 1}
	padded := &btf.Struct{Name: "p", Size: 4, Members: []btf.Member{{Name: "a", Type: u8}, {Name: "b", Type: u16, Offset: 16}}}
	bits := &btf.Struct{Name: "bits", Size: 1, Members: []btf.Member{
		{Name: "low", Type: u8, BitfieldSize: 3}, {Name: "high", Type: u8, Offset: 3, BitfieldSize: 5},
	}}
	either := &btf.Union{Size: 4, Members: []btf.Member{{Name: "small", Type: u8}, {Name: "whole", Type: s32}}}
	for _, tc := range []struct {
		name        string
		typ         btf.Type
		little, big []byte // big is nil where it is the same
		want        string
	}{
		{"negative", s32, []byte{0xfe, 0xff, 0xff, 0xff}, []byte{0xff, 0xff, 0xff, 0xfe}, `-2`},
		{"large", u64, slices.Repeat([]byte{0xff}, 8), nil, `18446744073709551615`},
		{"zero", u64, make([]byte, 8), nil, ``},
		{"network order", &btf.Typedef{Name: "__be16", Type: u16}, []byte{1, 2}, nil, `258`},
		{"bool", &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}, []byte{1}, nil, `true`},
		{"strange bool", &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}, []byte{2}, nil, `"0x02"`},
		{"enum", &btf.Enum{Size: 1, Values: []btf.EnumValue{{Name: "ON", Value: 1}}}, []byte{1}, nil, `"ON"`},
		{"enum without name", &btf.Enum{Size: 1}, []byte{7}, nil, `7`},
		{"float", &btf.Float{Size: 4}, []byte{0, 0, 0xc0, 0x3f}, []byte{0x3f, 0xc0, 0, 0}, `1.5`},
		{"text", &btf.Array{Type: char, Nelems: 4}, []byte("lo\x00\x00"), nil, `"lo"`},
		{"text without end", &btf.Array{Type: char, Nelems: 2}, []byte("lo"), nil, `[108,111]`},
		{"text with more behind", &btf.Array{Type: char, Nelems: 4}, []byte("a\x00b\x00"), nil, `[97,0,98,0]`},
		{"struct", padded, []byte{1, 0, 2, 0}, []byte{1, 0, 0, 2}, `{"a":1,"b":2}`},
		{"padding is not lost", padded, []byte{1, 9, 2, 0}, nil, `"0x01090200"`},
		{"bitfields", bits, []byte{0b10001_101}, []byte{0b101_10001}, `{"low":5,"high":17}`},
		{"union", either, []byte{1, 1, 0, 0}, []byte{0, 0, 1, 1}, `{"whole":257}`},
		{"address", &btf.Struct{Name: "in_addr", Size: 4}, []byte{10, 0, 0, 1}, nil, `"10.0.0.1"`},
		{"other size", u64, []byte{1}, nil, `"0x01"`},
		{"no type", nil, []byte{1, 2}, nil, `"0x0102"`},
		{"large", &btf.Array{Type: u8, Nelems: 257}, slices.Repeat([]byte{1}, 257), nil, ``},
		{"many parts", &btf.Array{Type: &btf.Array{Type: u8}, Nelems: 1 << 30}, []byte{1}, nil, `"0x01"`},
	} {
		v := &ebpf.VariableSpec{Value: tc.little}
		if tc.typ != nil {
			v.Type = &btf.Var{Type: tc.typ}
		}
		if got := defaultValue(v, binary.LittleEndian, newBudget(1000, "")); string(got) != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if tc.big != nil {
			v.Value = tc.big
		}
		if tc.name == "padding is not lost" {
			continue
		}
		if got := defaultValue(v, binary.BigEndian, newBudget(1000, "")); string(got) != tc.want {
			t.Errorf("%s, big-endian: %s, want %s", tc.name, got, tc.want)
		}
		if got := defaultValue(v, binary.BigEndian, newBudget(0, "")); got != nil {
			t.Errorf("%s: %s over the budget", tc.name, got)
		}
	}
}
