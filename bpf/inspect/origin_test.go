// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// specWith is a spec whose types hold one struct with the fields.
func specWith(t *testing.T, order binary.ByteOrder, name string, fields ...string) *ebpf.CollectionSpec {
	t.Helper()
	s := &btf.Struct{Name: name, Size: uint32(8 * len(fields))}
	for i, f := range fields {
		s.Members = append(s.Members, btf.Member{Name: f, Type: &btf.Int{Name: "long", Size: 8}, Offset: btf.Bits(64 * i)})
	}
	b, err := btf.NewBuilder([]btf.Type{s}, nil)
	if err != nil {
		t.Fatal(err)
	}
	types, err := b.Spec()
	if err != nil {
		t.Fatal(err)
	}
	return &ebpf.CollectionSpec{ByteOrder: order, Types: types}
}

func TestArch(t *testing.T) {
	little, big := binary.ByteOrder(binary.LittleEndian), binary.ByteOrder(binary.BigEndian)
	for _, tc := range []struct {
		file   string
		order  binary.ByteOrder
		name   string
		fields []string
		want   string
	}{
		{"x.o", little, "pt_regs", []string{"r15", "rip"}, "amd64"},
		{"x.o", little, "pt_regs", []string{"", "orig_x0"}, "arm64"},
		{"x.o", little, "user_pt_regs", []string{"regs", "sp", "pc", "pstate"}, "arm64"},
		{"x.o", big, "user_pt_regs", []string{"psw", "gprs"}, "s390x"},
		{"x.o", little, "pt_regs", []string{"gpr", "nip"}, "ppc64le"},
		{"x.o", big, "pt_regs", []string{"gpr", "nip"}, "ppc64"},
		{"x.o", little, "pt_regs", []string{"epc", "ra"}, "riscv64"},
		{"x.o", little, "pt_regs", []string{"something"}, ""},
		{"x.o", little, "other", []string{"r15"}, ""},
		{"bpf_arm64_bpfel.o", little, "pt_regs", []string{"r15"}, "amd64"},
		{"bpf_arm64_bpfel.o", little, "other", nil, "arm64"},
		{"bpf_x86_bpfel.o", little, "other", nil, "amd64"},
		{"bpf_s390_bpfeb.o", big, "other", nil, "s390x"},
		{"bpf_powerpc_bpfeb.o", big, "other", nil, "ppc64"},
		{"bpf_mips_bpfeb.o", big, "other", nil, "mips"},
		{"bpf_bpfel_arm64.o", little, "other", nil, "arm64"},
		{"bpf_bpfel.o", little, "other", nil, ""},
		{"bpfel.o", little, "other", nil, ""},
		{"x86.o", little, "other", nil, ""},
	} {
		if got := arch(tc.file, specWith(t, tc.order, tc.name, tc.fields...)); got != tc.want {
			t.Errorf("%s, struct %s %v: %q, want %q", tc.file, tc.name, tc.fields, got, tc.want)
		}
	}
	if got := arch("bpf_riscv_bpfel.o", &ebpf.CollectionSpec{ByteOrder: little}); got != "riscv64" {
		t.Errorf("without BTF: %q", got)
	}
}

func TestCompiler(t *testing.T) {
	const clang = "Debian clang version 14.0.6"
	for _, tc := range []struct {
		section, text, want string
	}{
		{".debug_str", clang + "\x00x.c\x00", clang},
		{".comment", "\x00" + clang + "\x00", clang},
		{".debug_str", "x.c\x00" + clang + "\x00", ""},
		{".debug_str", "x.c", ""},
		{".debug_str", clang + strings.Repeat("x", maxProducer), ""},
		{".debug_str", "", ""},
		{".data", clang, ""},
	} {
		obj, err := Object("x.o", tinyObject(testSection{name: tc.section, typ: elf.SHT_PROGBITS, data: []byte(tc.text)}))
		if err != nil || obj.Compiler != tc.want {
			t.Errorf("%s %q: %q, %v; want %q", tc.section, tc.text, obj.Compiler, err, tc.want)
		}
	}
}
