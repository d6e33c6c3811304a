// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package probes

import (
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestProbes(t *testing.T) {
	p := sample()
	list, err := open(t, p.bytes()).Probes()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range list {
		names = append(names, l.Provider+":"+l.Name+" "+l.Args)
	}
	if want := []string{"app:request -4@%edi 8@%rsi", "app:reply ", "app:lost ", "app:odd "}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
	if list, err := open(t, (&program{}).bytes()).Probes(); err != nil || list != nil {
		t.Errorf("without notes: %v, %v", list, err)
	}
}

func TestPlace(t *testing.T) {
	for name, tc := range map[string]struct {
		moved             uint64 // by prelinking, since the notes were written
		probe             int
		offset, semaphore uint64
		want              error
	}{
		"code":                   {0, 0, codeAddress + 0x42, 0, nil},
		"code and semaphore":     {0, 1, codeAddress + 0x80, dataFile + 2, nil},
		"moved":                  {0x10, 1, codeAddress + 0x90, dataFile + 0x12, nil},
		"moved, no semaphore":    {0x10, 0, codeAddress + 0x52, 0, nil},
		"outside":                {0, 2, 0, 0, ErrUnreadable},
		"semaphore in the code":  {0, 3, 0, 0, ErrUnreadable},
		"moved out of the code":  {0x1000, 0, 0, 0, ErrUnreadable},
		"semaphore past the end": {0xfe, 1, 0, 0, ErrUnreadable},
	} {
		t.Run(name, func(t *testing.T) {
			p := sample()
			p.base = noteFrom + tc.moved
			f := open(t, p.bytes())
			list, err := f.Probes()
			if err != nil {
				t.Fatal(err)
			}
			offset, semaphore, err := f.Place(list[tc.probe])
			if !errors.Is(err, tc.want) || offset != tc.offset || semaphore != tc.semaphore {
				t.Errorf("got %#x, %#x, %v", offset, semaphore, err)
			}
		})
	}
}

func TestProbesRefuses(t *testing.T) {
	for name, note := range map[string]func(p *program){
		"no header":   func(p *program) { p.notes = []byte{1, 2, 3, 4} },
		"long owner":  func(p *program) { p.note(0, 0, "a", "b", "c"); le.PutUint32(p.notes, 1<<32-1) },
		"long text":   func(p *program) { p.note(0, 0, "a", "b", "c"); le.PutUint32(p.notes[4:], 1<<32-1) },
		"short text":  func(p *program) { p.rawNote(noteOwner, noteType, []byte("short")) },
		"no zero":     func(p *program) { p.rawNote(noteOwner, noteType, make([]byte, 26)) },
		"a long name": func(p *program) { p.note(0, 0, "a", strings.Repeat("b", maxName+1), "") },
	} {
		t.Run(name, func(t *testing.T) {
			p := &program{}
			note(p)
			if list, err := open(t, p.bytes()).Probes(); !errors.Is(err, ErrUnreadable) {
				t.Errorf("got %v, %v", list, err)
			}
		})
	}
}

func TestParseArgs(t *testing.T) {
	x86, arm := elf.EM_X86_64, elf.EM_AARCH64
	minus := func(n int64) uint64 { return uint64(-n) }
	for _, tc := range []struct {
		machine elf.Machine
		args    string
		want    []Arg
	}{
		{x86, "", nil},
		{x86, "-4@%edi", []Arg{{Kind: Register, Size: 4, Signed: true, Register: 112}}},
		{x86, "8@-16(%rbp)", []Arg{{Kind: Memory, Size: 8, Register: 32, Value: minus(16)}}},
		{x86, "1@(%rax)", []Arg{{Kind: Memory, Size: 1, Register: 80}}},
		{x86, "4@$5 -4@$-9", []Arg{{Size: 4, Value: 5}, {Size: 4, Signed: true, Value: minus(9)}}},
		{x86, "8@$18446744073709551615", []Arg{{Size: 8, Value: 1<<64 - 1}}},
		{x86, " 2@%ax  -1@%r9b", []Arg{{Kind: Register, Size: 2, Register: 80}, {Kind: Register, Size: 1, Signed: true, Register: 64}}},
		{x86, "8@(%rax,%rcx,8)", []Arg{{Kind: Indexed, Size: 8, Register: 80, Index: 88, Shift: 3}}},
		{x86, "8@0x10(%rsp,%r15)", []Arg{{Kind: Indexed, Size: 8, Register: 152, Value: 16}}},
		{arm, "-4@[sp, 1204] 8@[x0]", []Arg{{Kind: Memory, Size: 4, Signed: true, Register: 248, Value: 1204}, {Kind: Memory, Size: 8}}},
		{arm, "8@5 -8@-3", []Arg{{Size: 8, Value: 5}, {Size: 8, Signed: true, Value: minus(3)}}},
		{arm, "-8@x4 4@w30", []Arg{{Kind: Register, Size: 8, Signed: true, Register: 32}, {Kind: Register, Size: 4, Register: 240}}},
		{arm, "8@[x1,-8]", []Arg{{Kind: Memory, Size: 8, Register: 8, Value: minus(8)}}},
	} {
		got, err := ParseArgs(tc.machine, tc.args)
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%v %q: got %+v, %v", tc.machine, tc.args, got, err)
		}
	}
	for _, tc := range []struct {
		machine elf.Machine
		args    string
	}{
		{x86, "4@"},
		{x86, "%edi"},
		{x86, "3@%edi"},
		{x86, "8@%xmm0"},
		{x86, "8f@%xmm0"},
		{x86, "8@counter(%rip)"},
		{x86, "8@$99999999999999999999"},
		{x86, "8@(%rax,%rcx,16)"},
		{x86, "8@(,%rcx,8)"},
		{x86, "8@%rax8@%rbx"},
		{x86, "1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1 1@$1"},
		{arm, "8@d0"},
		{arm, "8@x31"},
		{arm, "8@[x0, x1]"},
		{elf.EM_S390, "8@%r2"},
	} {
		if got, err := ParseArgs(tc.machine, tc.args); !errors.Is(err, ErrArgument) {
			t.Errorf("%v %q: got %+v, %v", tc.machine, tc.args, got, err)
		}
	}
}

// TestSpec compares with what a C compiler makes of struct __bpf_usdt_spec.
func TestSpec(t *testing.T) {
	args, err := ParseArgs(elf.EM_X86_64, "-4@-20(%rbp) 8@(%rax,%rcx,8)")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := Spec(binary.LittleEndian, args)
	if err != nil || len(spec) != 208 {
		t.Fatalf("%d bytes, %v", len(spec), err)
	}
	for _, part := range []struct {
		from int
		want string
	}{
		{0, "ecffffffffffffff" + "02000000" + "2000" + "01" + "20"},
		{16, "0000000000000000" + "03583000" + "5000" + "00" + "00"},
		{32, "00000000000000000000000000000000"},
		{192, "0000000000000000" + "0200000000000000"},
	} {
		if got := hex.EncodeToString(spec[part.from : part.from+16]); got != part.want {
			t.Errorf("at %d: %s, want %s", part.from, got, part.want)
		}
	}
	if _, err := Spec(binary.LittleEndian, make([]Arg, MaxArgs+1)); !errors.Is(err, ErrArgument) {
		t.Errorf("too many: %v", err)
	}
}

// FuzzParseArgs makes a specification of whatever is accepted.
func FuzzParseArgs(f *testing.F) {
	f.Add(false, "-4@%edi 8@-16(%rbp) 4@$5 8@8(%rax,%rcx,8)")
	f.Add(true, "-4@[sp, 1204] 8@5 -8@x4")
	f.Fuzz(func(t *testing.T, arm bool, args string) {
		machine := elf.EM_X86_64
		if arm {
			machine = elf.EM_AARCH64
		}
		list, err := ParseArgs(machine, args)
		if err != nil {
			return
		}
		for _, a := range list {
			if a.Register < 0 || a.Register > 248 || a.Register%8 != 0 || a.Index < 0 || a.Index > 248 || a.Shift > 3 {
				t.Errorf("%q: %+v", args, a)
			}
		}
		if _, err := Spec(binary.LittleEndian, list); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	})
}
