// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package probes

import (
	"bytes"
	"debug/elf"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"tcp_v4_rcv", "tcp_v4_rcv", true},
		{"tcp_v4_rcv", "tcp_v4_rcv2", false},
		{"tcp_*", "tcp_", true},
		{"tcp_*", "tcp_v4_rcv", true},
		{"tcp_*", "xtcp_v4", false},
		{"*rcv", "tcp_v4_rcv", true},
		{"*rcv", "tcp_rcv_x", false},
		{"*a*b", "aab", true},
		{"*a*b", "aba", false},
		{"t?p", "tcp", true},
		{"t?p", "tp", false},
		{"**", "x", true},
		{"[a-z]*", "a", false}, // no classes, as in libbpf
		{strings.Repeat("*a", 50) + "b", strings.Repeat("a", 2000), false},
	} {
		if got := Match(tc.pattern, tc.name); got != tc.want {
			t.Errorf("Match(%q, %.20q) = %v", tc.pattern, tc.name, got)
		}
	}
	if !IsPattern("a?") || IsPattern("abc") {
		t.Error("IsPattern")
	}
}

func TestFunctions(t *testing.T) {
	f := open(t, sample().bytes())
	got, err := f.Functions("tcp_*", 10)
	want := []Function{{"tcp_open", codeAddress + 0x10, 16, true}, {"tcp_close", codeAddress + 0x20, 16, true}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if got, err := f.Functions("nothing", 10); err != nil || len(got) != 0 {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := f.Functions("*", 2); !errors.Is(err, ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
}

func TestFunction(t *testing.T) {
	f := open(t, sample().bytes())
	for name, tc := range map[string]struct {
		offset uint64
		want   error
	}{
		"main":        {codeAddress, nil},
		"tcp_shut":    {codeAddress + 0x20, nil},
		"tcp_import":  {0, ErrImported},
		"tcp_nowhere": {0, ErrNoFunction},
		"tcp_data":    {0, ErrNoFunction},
		"tcp_table":   {0, ErrNoFunction},
		"tcp_*":       {0, ErrNoFunction},
		"twice":       {0, ErrAmbiguous},
	} {
		if fn, err := f.Function(name); fn.Offset != tc.offset || !errors.Is(err, tc.want) {
			t.Errorf("%s: got %v, %v", name, fn, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	good := sample().bytes()
	change := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for name, tc := range map[string]struct {
		data []byte
		want error
	}{
		"empty":         {nil, ErrNotProgram},
		"text":          {bytes.Repeat([]byte("text"), 100), ErrNotProgram},
		"32 bits":       {change(func(b []byte) []byte { b[elf.EI_CLASS] = 1; return b }), ErrNotProgram},
		"no byte order": {change(func(b []byte) []byte { b[elf.EI_DATA] = 9; return b }), ErrNotProgram},
		"object":        {change(func(b []byte) []byte { b[16] = byte(elf.ET_REL); return b }), ErrNotProgram},
		"cut short":     {good[:len(good)-1], ErrUnreadable},
		"far sections":  {change(func(b []byte) []byte { le.PutUint64(b[40:], 1<<63); return b }), ErrUnreadable},
		"small records": {change(func(b []byte) []byte { b[58] = 1; return b }), ErrUnreadable},
	} {
		if _, err := Open(bytes.NewReader(tc.data), int64(len(tc.data))); !errors.Is(err, tc.want) {
			t.Errorf("%s: error %v, want %v", name, err, tc.want)
		}
	}
}

// FuzzFile reads everything there is in a hostile file.
func FuzzFile(f *testing.F) {
	f.Add(sample().bytes())
	f.Add((&program{}).bytes())
	f.Add([]byte(elf.ELFMAG))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Open(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		functions, err := file.Functions("*", 100)
		for _, fn := range functions {
			if err != nil || fn.Offset >= uint64(len(data)) || fn.Name == "" {
				t.Errorf("function %v of %d bytes, %v", fn, len(data), err)
			}
		}
		list, err := file.Probes()
		if err != nil {
			return
		}
		for _, p := range list {
			offset, semaphore, err := file.Place(p)
			if err == nil && (offset >= uint64(len(data)) || semaphore >= uint64(len(data))) {
				t.Errorf("probe %v at %#x, %#x of %d bytes", p, offset, semaphore, len(data))
			}
		}
	})
}
