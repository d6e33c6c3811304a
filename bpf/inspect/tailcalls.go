// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"cmp"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	"github.com/bpfimg/bpfimg/schemas"
)

// tailCalls lists the maps a program tail-calls through, with the index where it
// is a constant, sorted and once each.
func tailCalls(insns asm.Instructions, maps map[string]*ebpf.MapSpec) []schemas.TailCall {
	var out []schemas.TailCall
	unclear := false
	for code := range functions(insns) {
		var targets []bool
		for i := range code {
			if ins := &code[i]; !ins.IsBuiltinCall() || ins.Constant != int64(asm.FnTailCall) {
				continue
			}
			if targets == nil {
				targets = jumpTargets(code)
			}
			call, ok := tailCall(code, i, targets)
			if m := maps[call.Map]; !ok || m == nil || m.Type != ebpf.ProgramArray {
				unclear = true
				continue
			}
			out = append(out, call)
		}
	}
	if unclear {
		// The map comes from further away: then it is one of those it loads.
		out = append(out, programArrays(insns, maps)...)
	}
	slices.SortFunc(out, func(a, b schemas.TailCall) int {
		return cmp.Or(cmp.Compare(a.Map, b.Map), cmp.Compare(indexOrder(a), indexOrder(b)))
	})
	return slices.CompactFunc(out, func(a, b schemas.TailCall) bool { return a.Map == b.Map && indexOrder(a) == indexOrder(b) })
}

// indexOrder puts calls without a known index first.
func indexOrder(c schemas.TailCall) int64 {
	if c.Index == nil {
		return -1
	}
	return int64(*c.Index)
}

// tailCall reads the arguments of the call at an index back from the
// instructions before it: r2 is the map, r3 the index. It looks no further than
// the code that leads here straight, where nothing jumps to.
func tailCall(code asm.Instructions, at int, targets []bool) (call schemas.TailCall, ok bool) {
	var haveMap, haveIndex bool
	for i := at - 1; i >= 0 && (!haveMap || !haveIndex); i-- {
		ins := &code[i]
		class := ins.OpCode.Class()
		if targets[i+1] || class.IsJump() || class == asm.StXClass && ins.OpCode.Mode() == asm.AtomicMode {
			break
		}
		switch writes := class.IsALU() || class.IsLoad(); {
		case writes && ins.Dst == asm.R2 && !haveMap:
			if haveMap = true; !ins.IsLoadFromMap() {
				return call, false
			}
			call.Map = ins.Reference()
		case writes && ins.Dst == asm.R3 && !haveIndex:
			haveIndex = true
			if class.IsALU() && ins.OpCode.ALUOp() == asm.Mov && ins.OpCode.Source() == asm.ImmSource {
				index := uint32(ins.Constant)
				call.Index = &index
			}
		}
	}
	return call, call.Map != ""
}

// programArrays are the maps of programs whose address the code takes.
func programArrays(insns asm.Instructions, maps map[string]*ebpf.MapSpec) []schemas.TailCall {
	var out []schemas.TailCall
	seen := map[string]bool{}
	for i := range insns {
		name := insns[i].Reference()
		if m := maps[name]; insns[i].IsLoadFromMap() && m != nil && m.Type == ebpf.ProgramArray && !seen[name] {
			seen[name] = true
			out = append(out, schemas.TailCall{Map: name})
		}
	}
	return out
}
