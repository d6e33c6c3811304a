// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
)

// TestProgramArrayGoes looks for arrays while the kernel empties them: doing so
// must not keep them. Each holds a program that holds it.
func TestProgramArrayGoes(t *testing.T) {
	newBench(t)
	for range 50 {
		array := must[*ebpf.Map](t)(ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}))
		prog := must[*ebpf.Program](t)(ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "GPL", Instructions: asm.Instructions{
			asm.LoadMapPtr(asm.R2, array.FD()),
			asm.Mov.Imm(asm.R3, 0),
			asm.FnTailCall.Call(),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
		}}))
		info := must[*ebpf.MapInfo](t)(array.Info())
		id, _ := info.ID()
		if err := array.Put(uint32(0), prog); err != nil {
			t.Fatal(err)
		}
		prog.Close()
		array.Close()
		if left := waitGone(t.Context(), patience, []uint32{uint32(id)}, lookForMap); len(left) > 0 {
			t.Fatalf("map %d is left", id)
		}
	}
}
