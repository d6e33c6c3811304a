// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// More types of a C program.
var (
	tU8     = &btf.Typedef{Name: "__u8", Type: &btf.Int{Name: "unsigned char", Size: 1}}
	tColor  = &btf.Enum{Name: "color", Size: 4, Values: []btf.EnumValue{{Name: "RED", Value: 0}, {Name: "BLUE", Value: 2}}}
	tSign   = &btf.Enum{Name: "sign", Size: 4, Signed: true, Values: []btf.EnumValue{{Name: "MINUS", Value: math.MaxUint64}}}
	tInAddr = &btf.Struct{Name: "in_addr", Size: 4, Members: []btf.Member{{Name: "s_addr", Type: tBE32}}}
	tIn6    = &btf.Struct{Name: "in6_addr", Size: 16, Members: []btf.Member{{Name: "x", Type: &btf.Array{Type: tU8, Index: tU32, Nelems: 16}}}}
	tFlow   = &btf.Struct{Name: "flow", Size: 24, Members: []btf.Member{
		{Name: "saddr", Type: tBE32},
		{Name: "mark", Type: tBE32, Offset: 32},
		{Name: "port", Type: tBE16, Offset: 64},
		{Name: "", Type: &btf.Union{Size: 4, Members: []btf.Member{{Name: "raw", Type: tU32}, {Name: "color", Type: tColor}}}, Offset: 96},
		{Name: "comm", Type: &btf.Array{Type: tChar, Index: tU32, Nelems: 8}, Offset: 128},
	}}
	tBits = &btf.Struct{Name: "bits", Size: 4, Members: []btf.Member{
		{Name: "a", Type: tU32, BitfieldSize: 3},
		{Name: "b", Type: tInt, Offset: 3, BitfieldSize: 5},
		{Name: "c", Type: tColor, Offset: 8, BitfieldSize: 9},
		{Name: "d", Type: tBool, Offset: 31, BitfieldSize: 1},
	}}
)

func native(size int, v uint64) []byte {
	var b [8]byte
	binary.NativeEndian.PutUint64(b[:], v)
	if endianBig() {
		return b[8-size:]
	}
	return b[:size]
}

func endianBig() bool { return binary.NativeEndian.Uint16([]byte{0, 1}) == 1 }

func TestDecode(t *testing.T) {
	flow := append([]byte{10, 0, 0, 1, 0, 0, 0x01, 0x00, 0x1f, 0x90, 0, 0}, native(4, 2)...)
	flow = append(flow, "a\\\x1b\xffz\x00qq"...)
	for name, tc := range map[string]struct {
		typ  btf.Type
		data []byte
		want string // JSON
	}{
		"no type":           {nil, []byte{0x0a, 0xff}, `"0x0aff"`},
		"unsigned":          {tU64, native(8, math.MaxUint64), `18446744073709551615`},
		"signed":            {tS64, native(8, 1<<63), `-9223372036854775808`},
		"128 bits":          {tU128, make([]byte, 16), `0`},
		"bool":              {tBool, []byte{1}, `true`},
		"char":              {tChar, []byte{0xff}, `-1`},
		"enum":              {tColor, native(4, 2), `"BLUE"`},
		"enum without name": {tColor, native(4, 7), `7`},
		"negative enum":     {tSign, native(4, math.MaxUint32), `"MINUS"`},
		"float":             {&btf.Float{Size: 8}, native(8, math.Float64bits(1.5)), `1.5`},
		"not a number":      {&btf.Float{Size: 8}, native(8, math.Float64bits(math.NaN())), `"NaN"`},
		"pointer":           {&btf.Pointer{Target: tU32}, native(8, 0xbeef), `"0xbeef"`},
		"IPv4":              {tInAddr, []byte{192, 0, 2, 1}, `"192.0.2.1"`},
		"IPv6":              {tIn6, []byte{0x20, 1, 0xd, 0xb8, 15: 1}, `"2001:db8::1"`},
		"key in wire order": {tBE32, []byte{0, 0, 1, 0}, `256`},
		"typedef of IPv4":   {&btf.Typedef{Name: "ipv4_addr", Type: tBE32}, []byte{192, 0, 2, 1}, `"192.0.2.1"`},
		"four words":        {&btf.Struct{Size: 8, Members: []btf.Member{{Name: "addr", Type: &btf.Array{Type: tBE32, Nelems: 2}}}}, []byte{0, 0, 0, 1, 0, 0, 0, 2}, `{"addr":[1,2]}`},
		"array":             {&btf.Array{Type: tU16, Index: tU32, Nelems: 2}, append(native(2, 1), native(2, 2)...), `[1,2]`},
		"empty array":       {&btf.Array{Type: tU16, Index: tU32}, nil, `[]`},
		"endless nothing":   {&btf.Array{Type: &btf.Struct{}, Index: tU32, Nelems: math.MaxUint32}, nil, `[]`},
		"struct":            {tFlow, flow, `{"saddr":"10.0.0.1","mark":256,"port":8080,"raw":2,"color":"BLUE","comm":[97,92,27,-1,122,0,113,113]}`},
		"cut short":         {tFlow, flow[:20], `"0x0a000001000001001f9000000200000061` + `5c1bff"`},
		"data section": {&btf.Datasec{Size: 8, Vars: []btf.VarSecinfo{
			{Type: &btf.Var{Name: "limit", Type: &btf.Const{Type: &btf.Volatile{Type: tU32}}}, Offset: 4, Size: 4},
		}}, append(native(4, 1), native(4, 9)...), `{"limit":9}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.Marshal(Decode(tc.typ, tc.data, binary.NativeEndian))
			if err != nil || string(got) != tc.want {
				t.Errorf("got %s (%v), want %s", got, err, tc.want)
			}
		})
	}
}

func TestDecodeBitfields(t *testing.T) {
	if endianBig() {
		t.Skip("SKIP-REASON: runs on little-endian machines, whose layout the type has")
	}
	// a=5, b=-2, c=2, d=1
	v := uint64(5 | 30<<3 | 2<<8 | 1<<31)
	got, err := json.Marshal(Decode(tBits, native(4, v), binary.NativeEndian))
	if want := `{"a":5,"b":-2,"c":"BLUE","d":true}`; err != nil || string(got) != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
}

// TestDecodeBounds is about types made to cost more than the bytes they describe.
func TestDecodeBounds(t *testing.T) {
	bomb := btf.Type(tU8)
	for range 20 {
		bomb = &btf.Union{Size: 1, Members: []btf.Member{{Name: "a", Type: bomb}, {Name: "b", Type: bomb}, {Name: "c", Type: bomb}}}
	}
	if got := Decode(bomb, []byte{7}, binary.NativeEndian); got != "0x07" {
		t.Errorf("a bomb of unions gave %T", got)
	}
	deep := btf.Type(tU8)
	for range 100 {
		deep = &btf.Struct{Size: 1, Members: []btf.Member{{Name: "a", Type: deep}}}
	}
	if got := Decode(deep, []byte{7}, binary.NativeEndian); got != "0x07" {
		t.Errorf("a deep struct gave %v", got)
	}
	long := make([]byte, maxParts)
	if got := Decode(&btf.Array{Type: &btf.Int{Size: 1}, Nelems: maxParts}, long, binary.NativeEndian); got != hexText(long) {
		t.Errorf("a long list gave %T", got)
	}
}

func TestSum(t *testing.T) {
	one := Struct{{"n", json.Number("18446744073709551615")}, {"who", "x"}, {"f", json.Number("0.5")}, {"l", []any{json.Number("-1")}}}
	two := Struct{{"n", json.Number("1")}, {"who", "y"}, {"f", json.Number("2")}, {"l", []any{json.Number("3")}}}
	got, err := json.Marshal(Sum([]any{one, two}))
	if want := `{"n":18446744073709551616,"who":null,"f":2.5,"l":[2]}`; err != nil || string(got) != want {
		t.Errorf("got %s (%v), want %s", got, err, want)
	}
	if got := Sum([]any{"RED", "RED"}); got != "RED" {
		t.Errorf("got %v", got)
	}
	if got := Sum([]any{json.Number("1"), "0x"}); got != nil {
		t.Errorf("got %v", got)
	}
}

func TestNamesAddress(t *testing.T) {
	for name, want := range map[string]bool{
		"ip": true, "src_ip": true, "saddr": true, "remote_ip4": true, "daddr": true, "SRC_IP": true,
		"mark": false, "zip": false, "ipid": false, "address_family": false, "": false,
	} {
		if got := namesAddress(name); got != want {
			t.Errorf("namesAddress(%q) = %v", name, got)
		}
	}
}

// FuzzDecode decodes any bytes as every type: always JSON, never a panic.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(make([]byte, 24))
	f.Add([]byte("\xff\xfe\xfd comm with \x1b[31m and \\ in it"))
	types := []btf.Type{
		nil, tChar, tBool, tU8, tU16, tU32, tU64, tS64, tU128, tBE16, tBE32, tColor, tSign, tInAddr, tIn6, tFlow, tBits,
		&btf.Float{Size: 4}, &btf.Float{Size: 8}, &btf.Float{Size: 3}, &btf.Pointer{Target: tU8}, &btf.Int{Size: 0}, (*btf.Void)(nil),
		&btf.Array{Type: tFlow, Index: tU32, Nelems: 2}, &btf.Array{Type: tChar, Index: tU32, Nelems: 9},
		&btf.Datasec{Size: 8, Vars: []btf.VarSecinfo{{Type: &btf.Var{Name: "v", Type: tFlow}, Offset: 3, Size: 5}}},
		&btf.Struct{Size: 8, Members: []btf.Member{{Name: "far", Type: tU64, Offset: 1 << 30}, {Name: "odd", Type: tU8, Offset: 3}}},
		&btf.Struct{Size: 8, Members: []btf.Member{{Name: "wide", Type: tU64, Offset: 60, BitfieldSize: 200}}},
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, typ := range types {
			v := Decode(typ, data, binary.NativeEndian)
			text, err := json.Marshal(v)
			if err != nil || !json.Valid(text) {
				t.Fatalf("%v of %x: %q, %v", typ, data, text, err)
			}
			if i := strings.IndexFunc(string(text), func(r rune) bool { return r < ' ' || r == 0x7f || r == 0x9b }); i >= 0 {
				t.Fatalf("%v of %x: control character in %q", typ, data, text)
			}
			if _, err := json.Marshal(Sum([]any{v, v, v})); err != nil {
				t.Fatalf("sum of %v: %v", v, err)
			}
		}
	})
}
