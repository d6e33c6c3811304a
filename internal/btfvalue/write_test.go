// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

// Types of a C program, as clang describes them.
var (
	tChar   = &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed}
	tBool   = &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}
	tS8     = &btf.Int{Name: "signed char", Size: 1, Encoding: btf.Signed}
	tInt    = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	tU16    = &btf.Typedef{Name: "__u16", Type: &btf.Int{Name: "unsigned short", Size: 2}}
	tU32    = &btf.Typedef{Name: "__u32", Type: &btf.Int{Name: "unsigned int", Size: 4}}
	tS64    = &btf.Int{Name: "long", Size: 8, Encoding: btf.Signed}
	tU64    = &btf.Int{Name: "unsigned long", Size: 8}
	tU128   = &btf.Int{Name: "unsigned __int128", Size: 16}
	tBE16   = &btf.Typedef{Name: "__be16", Type: tU16}
	tBE32   = &btf.Typedef{Name: "__be32", Type: tU32}
	tDouble = &btf.Float{Name: "double", Size: 8}
	tFloat  = &btf.Float{Name: "float", Size: 4}
	tConst  = &btf.Const{Type: &btf.Volatile{Type: tU32}}
	tPtr    = &btf.Pointer{Target: tInt}
	tIfname = &btf.Array{Type: tChar, Index: tU32, Nelems: 8}
	tPorts  = &btf.Array{Type: tU16, Index: tU32, Nelems: 3}
	tMode   = &btf.Enum{Name: "mode", Size: 4, Values: []btf.EnumValue{{Name: "OFF", Value: 0}, {Name: "COUNT", Value: 2}}}
	tLevel  = &btf.Enum{Name: "level", Size: 1, Signed: true, Values: []btf.EnumValue{{Name: "LOW", Value: ^uint64(0)}}}
	tBig    = &btf.Enum{Name: "big", Size: 8, Values: []btf.EnumValue{{Name: "HUGE", Value: 1 << 40}}}
	tBroken = &btf.Enum{Name: "broken", Size: 1, Values: tBig.Values}
	tNarrow = &btf.Struct{Size: 4, Members: []btf.Member{{Name: "m", Type: tMode, BitfieldSize: 1}}}
	tAddr   = &btf.Struct{Name: "in_addr", Size: 4, Members: []btf.Member{{Name: "s_addr", Type: tBE32}}}
	tUnion  = &btf.Union{Name: "id", Size: 4, Members: []btf.Member{
		{Name: "word", Type: tU32},
		{Type: &btf.Struct{Size: 4, Members: []btf.Member{{Name: "low", Type: tU16}, {Name: "high", Type: tU16, Offset: 16}}}},
	}}
	tConfig = &btf.Struct{Name: "config", Size: 40, Members: []btf.Member{
		{Name: "rate", Type: tU32},
		{Name: "ports", Type: tPorts, Offset: 32},
		{Name: "on", Type: tBool, Offset: 80},
		{Name: "iface", Type: tIfname, Offset: 96},
		{Name: "mode", Type: tMode, Offset: 160},
		{Type: tUnion, Offset: 192},
		{Name: "id2", Type: tUnion, Offset: 224},
		{Name: "flag", Type: tU32, Offset: 256, BitfieldSize: 3},
		{Name: "delta", Type: tInt, Offset: 259, BitfieldSize: 5},
		{Name: "addr", Type: tAddr, Offset: 288},
	}}
)

func size(t testing.TB, typ btf.Type) int {
	t.Helper()
	n, err := btf.Sizeof(typ)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestEncode writes values over bytes of 0x11 and reads them back.
func TestEncode(t *testing.T) {
	for _, tc := range []struct {
		name string
		typ  btf.Type
		text string
		want string // as it is shown, in JSON
	}{
		{"decimal", tU32, "100", `100`},
		{"most", tU32, "4294967295", `4294967295`},
		{"hexadecimal", tU32, "0xFf", `255`},
		{"plus", tU32, "+7", `7`},
		{"negative", tInt, "-2147483648", `-2147483648`},
		{"negative hexadecimal", tInt, "-0x10", `-16`},
		{"one byte", tS8, "-128", `-128`},
		{"64 bits", tU64, "18446744073709551615", `18446744073709551615`},
		{"64 bits signed", tS64, "-9223372036854775808", `-9223372036854775808`},
		{"128 bits", tU128, "340282366920938463463374607431768211455", `340282366920938463463374607431768211455`},
		{"const volatile", tConst, "5", `5`},
		{"bool", tBool, "true", `true`},
		{"bool by number", tBool, "0", `false`},
		{"char", tChar, "'x'", `120`},
		{"char by number", tChar, "-1", `-1`},
		{"enum", tMode, "COUNT", `"COUNT"`},
		{"enum by number", tMode, "0", `"OFF"`},
		{"enum flags", tMode, "3", `3`},
		{"signed enum", tLevel, "LOW", `"LOW"`},
		{"enum64", tBig, "HUGE", `"HUGE"`},
		{"double", tDouble, "-1.5e3", `-1500`},
		{"float", tFloat, "0.25", `0.25`},
		{"text", tIfname, "eth0", `"eth0"`},
		{"longest text", tIfname, "1234567", `"1234567"`},
		{"no text", tIfname, "", `""`},
		{"wire order", tBE16, "443", `443`},
		{"address", tAddr, "10.1.2.3", `"10.1.2.3"`},
		{"bytes of a list", tPorts, "0x010002000300", `[1,2,3]`},
		{"bytes of text", tIfname, "0x6c6f000000000000", `"lo"`},
		{"text like bytes", tIfname, "0x6c6f", `"0x6c6f"`},
		{"list for text", tIfname, "[108, 111, 0]", `"lo"`},
		{"text like a list", tIfname, "[1,2]", `"[1,2]"`},
		{"fields of a union that say the same", tUnion, `{"word": 131073, "high": 2}`, `{"word":131073,"low":1,"high":2}`},
		{"pointer it has", tPtr, "0x1111111111111111", `"0x1111111111111111"`},
		{"list", tPorts, "[80, 443]", `[80,443,4369]`},
		{"empty list", tPorts, "[]", `[4369,4369,4369]`},
		{
			"struct", tConfig, `{"mode": "COUNT", "ports": [1, "0x2"], "on": true, "iface": "lo", "rate": 9}`,
			`{"rate":9,"ports":[1,2,4369],"on":true,"iface":"lo","mode":"COUNT","word":286331153,"low":4369,"high":4369,` +
				`"id2":{"word":286331153,"low":4369,"high":4369},"flag":1,"delta":2,"addr":"17.17.17.17"}`,
		},
		{
			"unions and bitfields", tConfig, `{"low": 1, "high": 2, "id2": {"word": 7}, "flag": 7, "delta": -16, "addr": "127.0.0.1"}`,
			`{"rate":286331153,"ports":[4369,4369,4369],"on":"?","iface":"?","mode":286331153,"word":131073,"low":1,"high":2,` +
				`"id2":{"word":7,"low":7,"high":0},"flag":7,"delta":-16,"addr":"127.0.0.1"}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			current := bytes.Repeat([]byte{0x11}, size(t, tc.typ))
			before := bytes.Clone(current)
			got, err := Encode(tc.typ, tc.text, current, binary.NativeEndian)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(current, before) {
				t.Error("what was passed in has changed")
			}
			text, err := json.Marshal(Decode(tc.typ, got, binary.NativeEndian))
			if err != nil {
				t.Fatal(err)
			}
			want := tc.want
			if strings.Contains(want, `"?"`) { // bytes that were not written and mean nothing
				want = strings.NewReplacer(`"on":"?"`, `"on":"0x11"`, `"iface":"?"`, `"iface":[17,17,17,17,17,17,17,17]`).Replace(want)
			}
			if string(text) != want {
				t.Errorf("got  %s\nwant %s", text, want)
			}
		})
	}
}

// TestEncodeWire checks what reading them back cannot: bytes as they are sent.
func TestEncodeWire(t *testing.T) {
	for text, want := range map[string][]byte{"10.1.2.3": {10, 1, 2, 3}, "0x0a010203": {10, 1, 2, 3}} {
		got, err := Encode(tBE32, text, make([]byte, 4), binary.NativeEndian)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %v, %v; want %v", text, got, err, want)
		}
	}
}

func TestEncodeErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		typ  btf.Type
		text string
		says []string
	}{
		{"over", tU32, "4294967296", []string{"4294967296", "__u32", "0 to 4294967295"}},
		{"under", tU16, "-1", []string{"__u16", "0 to 65535"}},
		{"signed over", tInt, "2147483648", []string{"int", "-2147483648 to 2147483647"}},
		{"word", tU32, "many", []string{`"many" is not a number for a __u32`}},
		{"nothing", tU32, "", []string{`"" is not a number`}},
		{"two signs", tInt, "-+5", []string{"not a number"}},
		{"octal", tU32, "010", []string{"leading zero"}},
		{"underscores", tU32, "1_000", []string{"decimal digits"}},
		{"fraction", tU32, "1.5", []string{"decimal digits"}},
		{"endless digits", tU32, strings.Repeat("9", 65), []string{"65 characters"}},
		{"bool", tBool, "yes", []string{"true or false"}},
		{"bool 2", tBool, "2", []string{"true or false"}},
		{"enum name", tMode, "FAST", []string{`enum mode has no value "FAST"`, "OFF, COUNT"}},
		{"enum range", tMode, "-1", []string{"enum mode", "0 to 4294967295"}},
		{"double", tDouble, "1e999", []string{"double"}},
		{"too long", tIfname, "12345678", []string{"8 bytes", "char[8]", "holds 7"}},
		{"NUL", tIfname, "a\x00b", []string{"NUL"}},
		{"pointer", tPtr, "0", []string{"int *", "pointer"}},
		{"not JSON", tConfig, "9", []string{"JSON object", "struct config", `{"rate": …}`}},
		{"broken JSON", tConfig, `{"rate": `, []string{"JSON", "unexpected EOF"}},
		{"trailing JSON", tConfig, `{} {}`, []string{"something follows"}},
		{"null", tConfig, `{"rate": null}`, []string{"leave the field out"}},
		{"unknown field", tConfig, `{"rat": 1}`, []string{`struct config has no field "rat"`, "rate, ports, on, iface, mode, word, low, high, id2"}},
		{"field twice", tConfig, `{"rate": 1, "rate": 2}`, []string{`"rate" is given twice`}},
		{"where", tConfig, `{"ports": [1, 70000]}`, []string{".ports[1]: 70000 is out of range", "__u16"}},
		{"long list", tConfig, `{"ports": [1, 2, 3, 4]}`, []string{".ports: 4 values for a __u16[3]"}},
		{"list for one", tConfig, `{"rate": [1]}`, []string{".rate: a __u32 takes one value, and a list is given"}},
		{"one for list", tConfig, `{"ports": 1}`, []string{".ports: ", "JSON list"}},
		{"both arms", tConfig, `{"word": 1, "high": 2}`, []string{`"word" and "high"`, "share their bytes"}},
		{"both arms of a named union", tConfig, `{"id2": {"low": 1, "word": 2}}`, []string{`.id2: fields "low" and "word"`}},
		{"bitfield", tConfig, `{"flag": 8}`, []string{".flag: 8 is out of range", "0 to 7"}},
		{"bitfield under", tConfig, `{"delta": -17}`, []string{"-16 to 15"}},
		{"address", tConfig, `{"addr": "::1"}`, []string{".addr", "in_addr"}},
		{"enum value larger than its enum", tBroken, "HUGE", []string{"HUGE is out of range", "enum broken", "0 to 255"}},
		{"enum value larger than its bits", tNarrow, `{"m": "COUNT"}`, []string{".m: COUNT is out of range", "of 1 bits"}},
		{"bytes of another size", tPorts, "0x0100", []string{"JSON"}},
		{"bytes of a number", tConfig, `{"addr": "0x00"}`, []string{".addr", "in_addr"}},
		{"pointer to elsewhere", tPtr, "0x1", []string{"int *", "pointer"}},
		{"deep JSON", tConfig, strings.Repeat("[", 100), []string{"nested deeper"}},
		{"huge", tIfname, strings.Repeat("x", maxText+1), []string{"131073 bytes"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Encode(tc.typ, tc.text, make([]byte, size(t, tc.typ)), binary.NativeEndian)
			if err == nil {
				t.Fatalf("no error; want one that says %q", tc.says)
			}
			for _, w := range tc.says {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("error does not say %q: %v", w, err)
				}
			}
		})
	}
	if _, err := Encode(tPtr, "0", make([]byte, 8), binary.NativeEndian); !errors.Is(err, ErrNotSettable) {
		t.Errorf("pointer: %v", err)
	}
	if _, err := Encode(tU32, "0", make([]byte, 2), binary.NativeEndian); !errors.Is(err, ErrNotSettable) {
		t.Errorf("type and bytes of different sizes: %v", err)
	}
	if _, err := Encode(&btf.Int{Encoding: btf.Bool}, "1", nil, binary.NativeEndian); !errors.Is(err, ErrNotSettable) {
		t.Errorf("bool without bytes: %v", err)
	}
	if _, err := Encode(nil, "0", nil, binary.NativeEndian); !errors.Is(err, ErrNotSettable) {
		t.Errorf("no type: %v", err)
	}
}

// TestEncodeHostileType: anonymous structs in anonymous structs are many more
// members than types.
func TestEncodeHostileType(t *testing.T) {
	inner := &btf.Struct{Size: 4, Members: []btf.Member{{Name: "x", Type: tU32}}}
	for range maxDepth - 1 {
		inner = &btf.Struct{Size: 4, Members: []btf.Member{{Type: inner}, {Type: inner}, {Type: inner}}}
	}
	if _, err := Encode(inner, `{"y": 1}`, make([]byte, 4), binary.NativeEndian); err == nil {
		t.Error("no error for a field that is not there")
	}
}

// FuzzEncode: whatever the text, bytes come back in the right number or an error
// does, and the same text written twice changes nothing the second time.
func FuzzEncode(f *testing.F) {
	types := []btf.Type{tChar, tBool, tInt, tU128, tBE32, tDouble, tMode, tBig, tIfname, tPorts, tUnion, tConfig, tPtr, tAddr}
	for _, text := range []string{
		"1", "-1", "0x7f", "true", "COUNT", "eth0", "10.0.0.1", "[1,2]", `{"rate":1,"delta":-3}`,
		`{"id2":{"low":1}}`, "1e5", "'a'", `{"a":{"b":[[[1]]]}}`,
	} {
		for i := range types {
			f.Add(i, text)
		}
	}
	f.Fuzz(func(t *testing.T, i int, text string) {
		if i < 0 || i >= len(types) {
			return
		}
		current := bytes.Repeat([]byte{0xa5}, size(t, types[i]))
		once, err := Encode(types[i], text, current, binary.NativeEndian)
		if err != nil {
			return
		}
		if len(once) != len(current) {
			t.Fatalf("%d bytes, want %d", len(once), len(current))
		}
		twice, err := Encode(types[i], text, once, binary.NativeEndian)
		if err != nil || !bytes.Equal(once, twice) {
			t.Fatalf("%q over itself: %x, %v; was %x", text, twice, err, once)
		}
	})
}
