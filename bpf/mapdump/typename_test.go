// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package mapdump

import (
	"testing"

	"github.com/cilium/ebpf/btf"
)

// C types of the tests.
var (
	tChar   = &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
	tU16    = &btf.Typedef{Name: "__u16", Type: &btf.Int{Name: "unsigned short", Size: 2}}
	tU32    = &btf.Typedef{Name: "__u32", Type: &btf.Int{Name: "unsigned int", Size: 4}}
	tU64    = &btf.Typedef{Name: "__u64", Type: &btf.Int{Name: "unsigned long long", Size: 8}}
	tBE16   = &btf.Typedef{Name: "__be16", Type: tU16}
	tBE32   = &btf.Typedef{Name: "__be32", Type: tU32}
	tColor  = &btf.Enum{Name: "color", Size: 4, Values: []btf.EnumValue{{Name: "RED", Value: 0}, {Name: "BLUE", Value: 2}}}
	tInAddr = &btf.Struct{Name: "in_addr", Size: 4, Members: []btf.Member{{Name: "s_addr", Type: tBE32}}}
	tFlow   = &btf.Struct{Name: "flow", Size: 24, Members: []btf.Member{
		{Name: "saddr", Type: tBE32},
		{Name: "mark", Type: tBE32, Offset: 32},
		{Name: "port", Type: tBE16, Offset: 64},
		{Name: "", Type: &btf.Union{Size: 4, Members: []btf.Member{{Name: "raw", Type: tU32}, {Name: "color", Type: tColor}}}, Offset: 96},
		{Name: "comm", Type: &btf.Array{Type: tChar, Index: tU32, Nelems: 8}, Offset: 128},
	}}
)

func TestTypeName(t *testing.T) {
	for want, typ := range map[string]btf.Type{
		"":             nil,
		"struct flow":  &btf.Const{Type: tFlow},
		"__u64":        tU64,
		"char[8]":      &btf.Array{Type: tChar, Nelems: 8},
		"enum color *": &btf.Pointer{Target: tColor},
		"union {…}":    &btf.Union{},
	} {
		if got := typeName(typ); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
