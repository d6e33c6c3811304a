// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
)

// attribute is a netlink attribute: its header, value and padding.
func attribute(kind uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&3)...)
}

func concat(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func number32(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }

func text(s string) []byte { return append([]byte(s), 0) }

// filterMessage is a message as the kernel sends it, for IPv4.
func filterMessage(handle uint32, priority uint16, attributes ...[]byte) []byte {
	m := make([]byte, tcmsgSize)
	binary.NativeEndian.PutUint32(m[8:], handle)
	info := number32(uint32(priority) << 16)
	protocol := []byte{0x08, 0x00} // in network order
	binary.NativeEndian.PutUint32(info, uint32(priority)<<16|uint32(binary.NativeEndian.Uint16(protocol)))
	copy(m[16:], info)
	return concat(append([][]byte{m}, attributes...)...)
}

// Messages of the tests, and seeds of the fuzzer.
var (
	directFilter = filterMessage(1, 7, attribute(tcaKind, text("bpf")...), attribute(tcaChain, number32(2)...),
		attribute(tcaOptions|0x8000, concat(
			attribute(tcaBPFName, text("x.o:[tc]")...), attribute(tcaBPFFlags, number32(tcaBPFDirect)...),
			attribute(tcaBPFID, number32(42)...), attribute(tcaBPFTag, 1, 2, 3, 4, 5, 6, 7, 0xab))...))
	actionFilter = filterMessage(1, 8, attribute(tcaKind, text("matchall")...),
		attribute(tcaOptions, attribute(2, concat(
			attribute(1, attribute(tcaActKind, text("gact")...)...),
			attribute(2, concat(attribute(tcaActKind, text("bpf")...), attribute(tcaActOptions, concat(
				attribute(tcaActBPFID, number32(43)...), attribute(tcaActBPFName, text("counts")...), attribute(tcaActBPFTag, 9))...))...),
		)...)...))
	announcement = filterMessage(0, 7, attribute(tcaKind, text("bpf")...))
	u32Table     = filterMessage(0x80000000, 3, attribute(tcaKind, text("u32")...), attribute(tcaOptions, attribute(4, number32(1)...)...))
	u32Filter    = filterMessage(0x80000800, 3, attribute(tcaKind, text("u32")...), attribute(tcaOptions))
)

func TestParseFilter(t *testing.T) {
	for name, tc := range map[string]struct {
		message []byte
		want    tcFilter
		none    bool
	}{
		"bpf": {message: directFilter, want: tcFilter{
			kind: "bpf", chain: 2, handle: 1, priority: 7, protocol: 0x800, direct: true,
			program: tcProgram{id: 42, name: "x.o:[tc]", tag: "01020304050607ab"},
		}},
		"action": {message: actionFilter, want: tcFilter{
			kind: "matchall", handle: 1, priority: 8, protocol: 0x800,
			actions: []tcAction{{kind: "gact"}, {kind: "bpf", program: tcProgram{id: 43, name: "counts", tag: "09"}}},
		}},
		"u32":          {message: u32Filter, want: tcFilter{kind: "u32", handle: 0x80000800, priority: 3, protocol: 0x800}},
		"table of u32": {message: u32Table, none: true},
		"announcement": {message: announcement, none: true},
	} {
		got, err := parseFilter(tc.message)
		if errors.Is(err, errNoFilter) != tc.none || !tc.none && (err != nil || !reflect.DeepEqual(got, tc.want)) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, tc.want)
		}
	}
	for name, message := range map[string][]byte{
		"short":            directFilter[:tcmsgSize-1],
		"cut":              directFilter[:len(directFilter)-4],
		"size 0":           filterMessage(1, 1, []byte{0, 0, 1, 0}),
		"size beyond":      filterMessage(1, 1, []byte{0xff, 0xff, 1, 0}),
		"cut in an action": filterMessage(1, 1, attribute(tcaKind, text("bpf")...), attribute(tcaOptions, attribute(1, attribute(1, 9, 9, 0, 0)...)...)),
	} {
		if _, err := parseFilter(message); err == nil || errors.Is(err, errNoFilter) {
			t.Errorf("%s: taken, %v", name, err)
		}
	}
}

// TestFilterLines is about what becomes of filters in a chain.
func TestFilterLines(t *testing.T) {
	var lines []ChainProgram
	for _, m := range [][]byte{u32Filter, u32Filter, u32Filter, directFilter, actionFilter, u32Filter} {
		f, err := parseFilter(m)
		if err != nil {
			t.Fatal(err)
		}
		lines = appendFilter(lines, f)
	}
	want := []struct {
		name, next    string
		id            uint32
		count, action int
	}{
		{"u32", nextNoMatch, 0, 3, 0},
		{"x.o:[tc]", nextUnspec, 42, 0, 0},
		{"counts", nextUnspec, 43, 0, 2},
		{"u32", nextNoMatch, 0, 0, 0},
	}
	if len(lines) != len(want) {
		t.Fatalf("%d lines: %+v", len(lines), lines)
	}
	for i, w := range want {
		l := lines[i]
		if l.Name != w.name || l.Next != w.next || l.ID != w.id || l.Filter.Count != w.count || l.Filter.Action != w.action {
			t.Errorf("line %d: %+v %+v, want %+v", i, l, l.Filter, w)
		}
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, m := range [][]byte{directFilter, actionFilter, announcement, u32Table, u32Filter, nil} {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		filter, err := parseFilter(message)
		if err != nil {
			return
		}
		lines := appendFilter(appendFilter(nil, filter), filter)
		if len(lines) == 0 || len(lines) > 2*(1+maxActions) {
			t.Errorf("%d lines of %+v", len(lines), filter)
		}
	})
}
