// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/google/go-cmp/cmp"

	"github.com/bpfimg/bpfimg/schemas"
)

// jump is a jump over n instructions, if r0 is 0 or always.
func jump(op asm.JumpOp, n int16) asm.Instruction {
	return asm.Instruction{OpCode: op.Op(asm.ImmSource), Offset: n}
}

func TestLoops(t *testing.T) {
	nop := asm.Mov.Imm(asm.R0, 0)
	for _, tc := range []struct {
		name string
		code asm.Instructions
		want bool
	}{
		{"none", asm.Instructions{nop, asm.Return()}, false},
		{"forward", asm.Instructions{nop, jump(asm.JEq, 1), nop, asm.Return()}, false},
		{"loop", asm.Instructions{nop, jump(asm.JEq, -2), asm.Return()}, true},
		{"itself", asm.Instructions{jump(asm.JEq, -1), asm.Return()}, true},
		{"over a wide instruction", asm.Instructions{nop, asm.LoadImm(asm.R1, 1, asm.DWord), jump(asm.JEq, -4), asm.Return()}, true},
		// Blocks in another order: back, and out.
		{"back without loop", asm.Instructions{jump(asm.Ja, 2), nop, asm.Return(), jump(asm.Ja, -3)}, false},
		{"out of the function", asm.Instructions{jump(asm.Ja, 100), asm.Return()}, false},
		{"no code", nil, false},
	} {
		if got := len(tc.code) > 0 && hasLoop(tc.code); got != tc.want {
			t.Errorf("%s: %t", tc.name, got)
		}
	}
}

// TestCodeFeatures gives the features of single instructions.
func TestCodeFeatures(t *testing.T) {
	for _, tc := range []struct {
		name string
		ins  asm.Instruction
		want string
	}{
		{"mov", asm.Mov.Reg(asm.R1, asm.R2), ""},
		{"mov32", asm.Mov.Imm32(asm.R1, 2), ""},
		{"jeq", jump(asm.JEq, 0), ""},
		{"jlt", jump(asm.JLT, 0), "instruction set v2"},
		{"jeq32", asm.Instruction{OpCode: asm.OpCode(asm.Jump32Class).SetJumpOp(asm.JEq)}, "instruction set v3"},
		{"gotol", asm.Instruction{OpCode: asm.OpCode(asm.Jump32Class).SetJumpOp(asm.Ja)}, "instruction set v4"},
		{"sdiv", asm.SDiv.Reg(asm.R1, asm.R2), "instruction set v4"},
		{"to big-endian", asm.HostTo(asm.BE, asm.R1, asm.Word), ""},
		{"bswap", asm.BSwap(asm.R1, asm.Word), "instruction set v4"},
		{"signed load", asm.LoadMemSX(asm.R1, asm.R2, 0, asm.Word), "instruction set v4"},
		{"load", asm.LoadMem(asm.R1, asm.R2, 0, asm.Word), ""},
		{"add", asm.AddAtomic.Mem(asm.R1, asm.R2, asm.Word, 0), ""},
		{"fetch-add", asm.FetchAdd.Mem(asm.R1, asm.R2, asm.Word, 0), "atomic instructions"},
		{"cmpxchg", asm.CmpXchg.Mem(asm.R1, asm.R2, asm.DWord, 0), "atomic instructions"},
		{"may_goto", jump(asm.JCOND, 0), "may_goto"},
		{"cast", asm.Instruction{OpCode: asm.Mov.Op(asm.RegSource), Offset: 1}, "address space casts"},
	} {
		if f, ok := instructionFeature(&tc.ins); ok != (tc.want != "") || ok && f.name != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, f.name, tc.want)
		}
	}
}

func TestReleaseOrder(t *testing.T) {
	sorted := []string{"", "3.19", "4.1", "4.10", "4.20", "5.0", "5.9", "5.10", "6.13"}
	for i := range sorted[1:] {
		if compareReleases(sorted[i], sorted[i+1]) >= 0 || laterRelease(sorted[i+1], sorted[i]) != sorted[i+1] {
			t.Errorf("%q is not before %q", sorted[i], sorted[i+1])
		}
	}
	for _, table := range [][]string{programTypes, attachTypes} {
		releases := programTypeReleases
		if table[0] != "unspec" {
			releases = attachTypeReleases
		}
		if len(table) != len(releases) {
			t.Errorf("%d releases for %d types", len(releases), len(table))
		}
	}
}

func TestTailCalls(t *testing.T) {
	maps := map[string]*ebpf.MapSpec{"jumps": {Type: ebpf.ProgramArray}, "more": {Type: ebpf.ProgramArray}, "other": {Type: ebpf.Array}}
	load := func(name string) asm.Instruction { return asm.LoadMapPtr(asm.R2, 0).WithReference(name) }
	call, nop := asm.FnTailCall.Call(), asm.Mov.Imm(asm.R0, 0)
	one, two := uint32(1), uint32(2)
	for _, tc := range []struct {
		name string
		code asm.Instructions
		want []schemas.TailCall
	}{
		{"none", asm.Instructions{load("jumps"), asm.Return()}, nil},
		{"constant", asm.Instructions{load("jumps"), asm.Mov.Imm(asm.R3, 1), call, asm.Return()}, []schemas.TailCall{{Map: "jumps", Index: &one}}},
		{
			"two",
			asm.Instructions{load("more"), asm.Mov.Imm32(asm.R3, 2), call, load("jumps"), asm.Mov.Imm(asm.R3, 1), call, asm.Return()},
			[]schemas.TailCall{{Map: "jumps", Index: &one}, {Map: "more", Index: &two}},
		},
		{"variable", asm.Instructions{load("jumps"), asm.Mov.Reg(asm.R3, asm.R7), call, asm.Return()}, []schemas.TailCall{{Map: "jumps"}}},
		// Two ways lead to the call, with two indexes.
		{
			"joined",
			asm.Instructions{asm.Mov.Imm(asm.R3, 1), jump(asm.JEq, 1), asm.Mov.Imm(asm.R3, 2), load("jumps"), call, asm.Return()},
			[]schemas.TailCall{{Map: "jumps"}},
		},
		{"map from afar", asm.Instructions{load("jumps"), load("other"), asm.Mov.Reg(asm.R2, asm.R6), call, asm.Return()}, []schemas.TailCall{{Map: "jumps"}}},
		{"no map", asm.Instructions{nop, call, asm.Return()}, nil},
	} {
		if diff := cmp.Diff(tc.want, tailCalls(tc.code, maps)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestMapMemoryBounds(t *testing.T) {
	for _, typ := range []ebpf.MapType{ebpf.Array, ebpf.Hash, ebpf.LRUCPUHash, ebpf.PerCPUArray, ebpf.RingBuf, ebpf.BloomFilter, ebpf.Queue, ebpf.LPMTrie, ebpf.Arena, 99} {
		for _, flags := range []uint32{0, flagMmapable, flagNoPrealloc} {
			m := &ebpf.MapSpec{Type: typ, KeySize: 1<<32 - 1, ValueSize: 1<<32 - 1, MaxEntries: 1<<32 - 1, Flags: flags}
			if memory, perCPU := mapMemory(m); memory > maxMapMemory || perCPU > maxMapMemory {
				t.Errorf("%s: %d, %d", typ, memory, perCPU)
			}
		}
	}
	if memory, perCPU := mapMemory(&ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 4}); memory != 0 || perCPU != 0 {
		t.Errorf("a map without size takes %d, %d", memory, perCPU)
	}
}

// TestEveryClaimHasARelease: a row without one would never be shown.
func TestEveryClaimHasARelease(t *testing.T) {
	rows := kernelFeatures()
	for _, f := range mapFlags {
		rows = append(rows, f.kernelFeature)
	}
	var names []string
	for _, f := range rows {
		if major, _ := release(f.since); major < 3 || f.source == "" {
			t.Errorf("%+v", f)
		}
		names = append(names, f.name)
	}
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Error("a feature is there twice")
	}
}
