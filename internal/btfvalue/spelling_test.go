// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue_test

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// Types of the spellings.
var (
	tBool    = &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}
	tU8      = &btf.Int{Name: "unsigned char", Size: 1}
	tU16     = &btf.Int{Name: "unsigned short", Size: 2}
	tU32     = &btf.Int{Name: "unsigned int", Size: 4}
	tU128    = &btf.Int{Name: "unsigned __int128", Size: 16}
	tBE32    = &btf.Typedef{Name: "__be32", Type: tU32}
	tFloat   = &btf.Float{Name: "float", Size: 4}
	tDouble  = &btf.Float{Name: "double", Size: 8}
	tLong    = &btf.Float{Name: "long double", Size: 16}
	tPointer = &btf.Pointer{Target: tU32}
	tMode    = &btf.Enum{Name: "mode", Size: 4, Signed: true, Values: []btf.EnumValue{
		{Name: "LOW", Value: ^uint64(0)}, {Name: "SAME", Value: ^uint64(0)}, {Name: "HIGH", Value: 2},
	}}
	tBig     = &btf.Enum{Name: "big", Size: 8, Values: []btf.EnumValue{{Name: "HUGE", Value: 1 << 40}}}
	tAddress = &btf.Struct{Name: "in_addr", Size: 4, Members: []btf.Member{{Name: "s_addr", Type: tBE32}}}
)

func chars(n uint32) btf.Type { return &btf.Array{Type: char(), Nelems: n} }

func structOf(size uint32, members ...btf.Member) *btf.Struct {
	return &btf.Struct{Name: "s", Size: size, Members: members}
}

func unionOf(size uint32, members ...btf.Member) *btf.Union {
	return &btf.Union{Name: "u", Size: size, Members: members}
}

// TestSpelling has a row for each way in which dumps, defaults and `--set` did not
// say the same, or do so on purpose.
func TestSpelling(t *testing.T) {
	for name, tc := range map[string]struct {
		typ  btf.Type
		data string // of a little-endian machine
		dump string
		def  string // "" where it is as in the dump
		big  string // of a big-endian machine, "" where that has nothing new
	}{
		"backslashes are text like any":     {chars(8), `\\a\x"` + "\x00\x00", `"\\\\a\\x\""`, "", ""},
		"text without NUL":                  {chars(2), "lo", `[108,111]`, "", ""},
		"text that is not UTF-8":            {chars(3), "\xff\x01\x00", `[-1,1,0]`, "", ""},
		"text with control characters":      {chars(4), "\x1b[m\x00", `[27,91,109,0]`, "", ""},
		"text with more behind":             {chars(4), "a\x00b\x00", `"a"`, `[97,0,98,0]`, ""},
		"a list that looks like text":       {chars(6), "[1,2]\x00", `"[1,2]"`, "", ""},
		"digits that look like bytes":       {chars(5), "0x61\x00", `"0x61"`, "", ""},
		"no room for text":                  {structOf(4, btf.Member{Name: "n", Type: tU32}, btf.Member{Name: "d", Type: chars(0), Offset: 32}), "\x01\x00\x00\x00", `{"n":1,"d":[]}`, "", ""},
		"lines of text":                     {&btf.Array{Type: chars(2), Nelems: 3}, "a\x00\x00\x00xy", `["a","",[120,121]]`, "", ""},
		"bool that is neither":              {tBool, "\x02", `"0x02"`, "", ""},
		"bool that is neither in a list":    {&btf.Array{Type: tBool, Nelems: 2}, "\x01\xff", `[true,"0xff"]`, "", ""},
		"wide bool that is neither":         {structOf(1, btf.Member{Name: "b", Type: tBool, BitfieldSize: 2}), "\x02", `"0x02"`, "", ""},
		"infinity":                          {tFloat, "\x00\x00\x80\x7f", `"+Inf"`, "", "\x7f\x80\x00\x00"},
		"NAN of C":                          {tFloat, "\x00\x00\xc0\x7f", `"NaN"`, "", ""},
		"NAN of C, double":                  {tDouble, "\x00\x00\x00\x00\x00\x00\xf8\x7f", `"NaN"`, "", "\x7f\xf8\x00\x00\x00\x00\x00\x00"},
		"another NAN":                       {tFloat, "\x01\x00\xc0\xff", `"NaN"`, `"0x0100c0ff"`, ""},
		"NAN beside its bits":               {unionOf(4, btf.Member{Name: "f", Type: tFloat}, btf.Member{Name: "n", Type: tU32}), "\x01\x00\x80\x7f", `{"f":"NaN","n":2139095041}`, `{"f":"0x0100807f"}`, ""},
		"NAN behind its bits":               {unionOf(4, btf.Member{Name: "n", Type: tU32}, btf.Member{Name: "f", Type: tFloat}), "\x01\x00\x80\x7f", `{"n":2139095041,"f":"NaN"}`, `{"n":2139095041}`, ""},
		"NAN behind some of its bits":       {unionOf(4, btf.Member{Name: "b", Type: tU32, Offset: 22, BitfieldSize: 1}, btf.Member{Name: "f", Type: tFloat}), "\x00\x00\xa0\x7f", `{"b":0,"f":"NaN"}`, `{"f":"0x0000a07f"}`, ""},
		"long double":                       {structOf(16, btf.Member{Name: "d", Type: tLong}), "0123456789abcdef", `{"d":"0x30313233343536373839616263646566"}`, "", ""},
		"all members of a union":            {unionOf(4, btf.Member{Name: "small", Type: tU8}, btf.Member{Name: "all", Type: tU32}), "\x01\x02\x00\x00", `{"small":1,"all":513}`, `{"all":513}`, ""},
		"text of a union":                   {unionOf(4, btf.Member{Name: "t", Type: chars(4)}, btf.Member{Name: "n", Type: tU32}), "a\x00b\x00", `{"t":"a","n":6422625}`, `{"t":[97,0,98,0]}`, ""},
		"text of a union behind":            {unionOf(4, btf.Member{Name: "n", Type: tU32}, btf.Member{Name: "t", Type: chars(4)}), "a\x00b\x00", `{"n":6422625,"t":"a"}`, `{"n":6422625}`, ""},
		"union with no member of its size":  {unionOf(4, btf.Member{Name: "n", Type: &btf.Array{Type: tU8, Nelems: 3}}), "\x01\x02\x03\x00", `{"n":[1,2,3]}`, `"0x01020300"`, ""},
		"bytes between members":             {structOf(4, btf.Member{Name: "a", Type: tU8}, btf.Member{Name: "b", Type: tU16, Offset: 16}), "\x01\x09\x02\x00", `{"a":1,"b":2}`, `"0x01090200"`, ""},
		"members of an anonymous union":     {structOf(4, btf.Member{Type: unionOf(4, btf.Member{Name: "a", Type: tU32}, btf.Member{Type: structOf(4, btf.Member{Name: "b", Type: tU16}, btf.Member{Name: "c", Type: tU16, Offset: 16})})}), "\x01\x00\x02\x00", `{"a":131073,"b":1,"c":2}`, `{"a":131073}`, ""},
		"anonymous address":                 {structOf(4, btf.Member{Type: tAddress}), "\x0a\x00\x00\x01", `{"s_addr":"10.0.0.1"}`, `{"s_addr":167772161}`, "\x0a\x00\x00\x01"},
		"anonymous number is padding":       {structOf(2, btf.Member{Type: tU8}, btf.Member{Name: "a", Type: tU8, Offset: 8}), "\x00\x02", `{"a":2}`, "", ""},
		"anonymous bits are padding":        {structOf(1, btf.Member{Type: tU8, BitfieldSize: 4}, btf.Member{Name: "a", Type: tU8, Offset: 4, BitfieldSize: 4}), "\x21", `{"a":2}`, `"0x21"`, ""},
		"address of another size":           {&btf.Struct{Name: "in_addr", Size: 16, Members: []btf.Member{{Name: "n", Type: tU128}}}, "\x01" + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", `{"n":1}`, "", ""},
		"address by its name":               {structOf(4, btf.Member{Name: "src_ip", Type: tBE32}), "\x0a\x00\x00\x01", `{"src_ip":"10.0.0.1"}`, `{"src_ip":167772161}`, "\x0a\x00\x00\x01"},
		"signed number in network order":    {&btf.Typedef{Name: "__be16", Type: &btf.Int{Name: "short", Size: 2, Encoding: btf.Signed}}, "\xff\xfe", `-2`, "", "\xff\xfe"},
		"wide number in network order":      {&btf.Typedef{Name: "__be64", Type: tU128}, "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02", `2`, "", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02"},
		"only numbers are in network order": {&btf.Typedef{Name: "__be32", Type: tMode}, "\x02\x00\x00\x00", `"HIGH"`, "", "\x00\x00\x00\x02"},
		"network order is not for arrays":   {&btf.Typedef{Name: "__be32", Type: &btf.Array{Type: tU16, Nelems: 2}}, "\x01\x00\x02\x00", `[1,2]`, "", "\x00\x01\x00\x02"},
		"first name of an enum's value":     {tMode, "\xff\xff\xff\xff", `"LOW"`, "", ""},
		"enum without a name":               {tMode, "\xfe\xff\xff\xff", `-2`, "", "\xff\xff\xff\xfe"},
		"enum of 64 bits":                   {tBig, "\x00\x00\x00\x00\x00\x01\x00\x00", `"HUGE"`, "", "\x00\x00\x01\x00\x00\x00\x00\x00"},
		"signed bits":                       {structOf(1, btf.Member{Name: "a", Type: char(), BitfieldSize: 3}, btf.Member{Name: "m", Type: tMode, Offset: 3, BitfieldSize: 5}), "\xfc", `{"a":-4,"m":"LOW"}`, "", "\x9f"},
		"more than 64 bits":                 {structOf(16, btf.Member{Name: "a", Type: tU128, Offset: 1, BitfieldSize: 100}), "\x02\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00", `{"a":79228162514264337593543950337}`, "", "\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00"},
		"bits of what has none":             {structOf(8, btf.Member{Name: "p", Type: tPointer, BitfieldSize: 4}), "\x01\x00\x00\x00\x00\x00\x00\x00", `"0x0100000000000000"`, "", ""},
		"pointer among others":              {structOf(16, btf.Member{Name: "n", Type: tU32}, btf.Member{Name: "p", Type: tPointer, Offset: 64}), "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", `{"n":1,"p":"0x0"}`, "", "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"},
		"pointer behind text on the same":   {unionOf(8, btf.Member{Name: "t", Type: chars(8)}, btf.Member{Name: "p", Type: tPointer}), "a\x00\x01\x00\x00\x00\x00\x00", `{"t":"a","p":"0x10061"}`, `{"t":[97,0,1,0,0,0,0,0]}`, ""},
		"list of nothing":                   {structOf(1, btf.Member{Name: "n", Type: tU8}, btf.Member{Name: "e", Type: &btf.Array{Type: &btf.Array{Type: tU32}, Nelems: 2}, Offset: 8}), "\x01", `{"n":1,"e":[]}`, "", ""},
		"larger than its type":              {tU16, "\x01\x00\x02", `1`, `"0x010002"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.def == "" {
				tc.def = tc.dump
			}
			checkRow(t, tc.typ, tc.data, tc.dump, tc.def, binary.LittleEndian)
			if tc.big != "" {
				checkRow(t, tc.typ, tc.big, tc.dump, tc.def, binary.BigEndian)
			}
		})
	}
}

func checkRow(t *testing.T, typ btf.Type, data, dump, def string, order binary.ByteOrder) {
	t.Helper()
	if got := dumpOf(t, typ, []byte(data), order); got != dump {
		t.Errorf("%s: dump %s, want %s", order, got, dump)
	}
	if got := defaultOf(t, typ, []byte(data), order); got != def {
		t.Errorf("%s: default %s, want %s", order, got, def)
	}
	if len(data) > int(sizeOf(typ)) {
		return // a variable that cannot be set
	}
	for _, value := range []string{dump, def} {
		if got, err := set(typ, value, []byte(data), order); err != nil || string(got) != data && value == def {
			t.Errorf("%s: %s is set as %x, %v", order, value, got, err)
		}
	}
}
