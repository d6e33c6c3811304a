// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"iter"

	"github.com/cilium/ebpf/asm"
)

// maxOldInstructions is how many 8-byte instructions a program could have before
// Linux 5.2 (BPF_MAXINSNS, linux/bpf_common.h).
const maxOldInstructions = 4096

// ofCode notes what the instructions need by themselves: of a program and the
// subprograms that follow it.
func (n needs) ofCode(insns asm.Instructions) {
	size := 0
	for i := range insns {
		size += int(insns[i].Width())
		if f, ok := instructionFeature(&insns[i]); ok {
			n.row(f)
		}
	}
	if size > maxOldInstructions {
		n.row(featureLarge)
	}
	for code := range functions(insns) {
		if hasLoop(code) {
			n.row(featureLoops)
		}
	}
}

// functions are those of a program: its own, then the subprograms it calls, each
// of which starts with a symbol.
func functions(insns asm.Instructions) iter.Seq[asm.Instructions] {
	return func(yield func(asm.Instructions) bool) {
		start := 0
		for i := range insns {
			if i+1 < len(insns) && insns[i+1].Symbol() == "" {
				continue
			}
			if !yield(insns[start : i+1]) {
				return
			}
			start = i + 1
		}
	}
}

// instructionFeature is what one instruction needs, if it is not as old as BPF.
func instructionFeature(ins *asm.Instruction) (kernelFeature, bool) {
	switch op := ins.OpCode; op.Class() {
	case asm.JumpClass, asm.Jump32Class:
		return jumpFeature(op)
	case asm.ALUClass, asm.ALU64Class:
		return aluFeature(ins)
	case asm.LdXClass:
		return featureISA4, op.Mode() == asm.MemSXMode
	case asm.LdClass:
		return featureGlobals, op.IsDWordLoad() && ins.Src == asm.PseudoMapValue
	case asm.StXClass:
		return atomicFeature(op)
	}
	return kernelFeature{}, false
}

func jumpFeature(op asm.OpCode) (kernelFeature, bool) {
	jump := op.JumpOp()
	if op.Class() == asm.Jump32Class {
		if jump == asm.Ja {
			return featureISA4, true
		}
		return featureJump32, jump != asm.InvalidJumpOp
	}
	switch jump {
	case asm.JLT, asm.JLE, asm.JSLT, asm.JSLE:
		return featureJumpIfLower, true
	case asm.JCOND:
		return featureMayGoto, true
	}
	return kernelFeature{}, false
}

func aluFeature(ins *asm.Instruction) (kernelFeature, bool) {
	wide := ins.OpCode.Class() == asm.ALU64Class
	switch ins.OpCode.ALUOp() {
	case asm.SDiv, asm.SMod, asm.MovSX8, asm.MovSX16, asm.MovSX32:
		return featureISA4, true
	case asm.Swap:
		return featureISA4, wide
	case asm.Mov:
		// BPF_ADDR_SPACE_CAST of linux/bpf.h.
		return featureArenaCast, wide && ins.OpCode.Source() == asm.RegSource && ins.Offset == 1
	}
	return kernelFeature{}, false
}

// atomicFeature looks at the operation, which the reader makes part of the
// opcode. One bit marks loads and stores (BPF_LOAD_ACQ, BPF_STORE_REL).
func atomicFeature(op asm.OpCode) (kernelFeature, bool) {
	const ordered = 0x100 << 8
	atomic := op.AtomicOp()
	switch {
	case atomic == asm.InvalidAtomic || atomic == asm.AddAtomic:
		return kernelFeature{}, false
	case atomic&ordered != 0:
		return featureAcquire, true
	}
	return featureAtomics, true
}

// States of an instruction while hasLoop walks.
const (
	unseen = iota
	onPath
	done
)

// hasLoop says whether the code of one function can come back to where it was. A
// jump backwards alone is no loop: compilers put blocks in any order. This is the
// question that Linux before 5.3 asked (check_cfg of kernel/bpf/verifier.c).
func hasLoop(insns asm.Instructions) bool {
	next := successors(insns)
	state := make([]uint8, len(insns))
	type step struct{ at, branch int }
	path := []step{{}}
	for len(path) > 0 {
		top := &path[len(path)-1]
		state[top.at] = onPath
		if top.branch == len(next[top.at]) {
			state[top.at] = done
			path = path[:len(path)-1]
			continue
		}
		to := next[top.at][top.branch]
		top.branch++
		if to < 0 || state[to] == done {
			continue
		}
		if state[to] == onPath {
			return true
		}
		path = append(path, step{at: to})
	}
	return false
}

// successors are the indexes of the instructions that can follow each one, -1
// where there is none.
func successors(insns asm.Instructions) [][2]int {
	// byOffset has a -1 in the middle of an instruction of twice the size.
	byOffset := make([]int, 0, len(insns))
	for i := range insns {
		byOffset = append(byOffset, i)
		for range insns[i].Width() - 1 {
			byOffset = append(byOffset, -1)
		}
	}
	at := func(offset int64) int {
		if offset < 0 || offset >= int64(len(byOffset)) {
			return -1
		}
		return byOffset[offset]
	}
	next := make([][2]int, len(insns))
	offset := int64(0)
	for i := range insns {
		ins := &insns[i]
		offset += int64(ins.Width())
		next[i] = [2]int{at(offset), -1}
		switch op := ins.OpCode.JumpOp(); {
		case op == asm.InvalidJumpOp || op == asm.Call:
		case op == asm.Exit:
			next[i][0] = -1
		case op == asm.Ja && ins.OpCode.Class() == asm.Jump32Class:
			next[i][0] = at(offset + ins.Constant)
		case op == asm.Ja:
			next[i][0] = at(offset + int64(ins.Offset))
		default:
			next[i][1] = at(offset + int64(ins.Offset))
		}
	}
	return next
}

// jumpTargets says which instructions of a function are jumped to.
func jumpTargets(code asm.Instructions) []bool {
	targets := make([]bool, len(code))
	for i, next := range successors(code) {
		for _, to := range next {
			if to >= 0 && to != i+1 {
				targets[to] = true
			}
		}
	}
	return targets
}
