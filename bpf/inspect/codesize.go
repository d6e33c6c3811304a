// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"cmp"
	"debug/elf"
	"slices"
)

// Opcodes and source registers that refer to functions (linux/bpf.h).
const (
	instructionSize = 8
	opCall          = 0x85
	opLoad64        = 0x18
	pseudoCall      = 1
)

// function is one function of a code section.
type function struct {
	section    int
	start, end uint64
	// calls are functions it refers to, by index, each once.
	calls []int
}

// codeSize works out how large programs become when every one gets a copy of the
// subprograms it reaches.
type codeSize struct {
	file      *elfFile
	functions []function
	byName    map[string]int
	// bySection are indexes into functions, in order of their start.
	bySection map[int][]int
}

// checkCode bounds the instructions the reader makes: a subprogram of a hundred
// thousand instructions that a thousand programs call is a few MiB in the file
// and some GiB after linking.
func (f *elfFile) checkCode() error {
	c := &codeSize{file: f, byName: map[string]int{}, bySection: map[int][]int{}}
	decoded := newBudget(maxInstructions, "instructions")
	for _, s := range f.symbols {
		if err := decoded.spend(c.add(s)); err != nil {
			return err
		}
	}
	for _, list := range c.bySection {
		slices.SortFunc(list, func(a, b int) int { return cmp.Compare(c.functions[a].start, c.functions[b].start) })
	}
	c.relocatedCalls()
	c.relativeCalls()

	linked := newBudget(maxInstructions, "instructions after linking subprograms")
	seen := make([]int, len(c.functions))
	for i := range c.functions {
		fn := &c.functions[i]
		slices.Sort(fn.calls)
		fn.calls = slices.Compact(fn.calls)
	}
	for i := range c.functions {
		if f.sections[c.functions[i].section].name == ".text" {
			continue
		}
		if err := c.link(i, seen, linked); err != nil {
			return err
		}
	}
	return nil
}

// add records s if it is a function and returns its number of instructions.
func (c *codeSize) add(s symbol) int64 {
	if s.section >= len(c.file.sections) || len(s.name) == 0 {
		return 0
	}
	sec := &c.file.sections[s.section]
	// Local symbols without a type are labels.
	isFunction := s.typ == elf.STT_FUNC || s.typ == elf.STT_NOTYPE && s.bind != elf.STB_LOCAL
	if !sec.code() || !isFunction || s.value > sec.size || s.size > sec.size-s.value {
		return 0
	}
	index := len(c.functions)
	c.functions = append(c.functions, function{section: s.section, start: s.value, end: s.value + s.size})
	c.byName[string(s.name)] = index
	c.bySection[s.section] = append(c.bySection[s.section], index)
	return int64(s.size / instructionSize)
}

// at finds the function of a section that holds the byte at offset.
func (c *codeSize) at(section int, offset uint64) (int, bool) {
	list := c.bySection[section]
	i, _ := slices.BinarySearchFunc(list, offset, func(index int, offset uint64) int {
		if c.functions[index].start <= offset {
			return -1
		}
		return 1
	})
	if i == 0 || offset >= c.functions[list[i-1]].end {
		return 0, false
	}
	return list[i-1], true
}

// relocatedCalls finds calls that a relocation names: by the function's symbol,
// or by its section and an offset in the instruction.
func (c *codeSize) relocatedCalls() {
	f := c.file
	for i := range f.sections {
		rel := &f.sections[i]
		target := int(rel.info)
		if rel.typ != elf.SHT_REL || target >= len(f.sections) || !f.sections[target].code() {
			continue
		}
		for at := 0; at+relocationSize <= len(rel.bytes); at += relocationSize {
			offset := f.order.Uint64(rel.bytes[at:])
			number := int64(elf.R_SYM64(f.order.Uint64(rel.bytes[at+8:])))
			from, ok := c.at(target, offset)
			if !ok || number >= int64(len(f.symbols)) {
				continue
			}
			s := f.symbols[number]
			if to, ok := c.byName[string(s.name)]; ok {
				c.call(from, to)
			} else if s.typ == elf.STT_SECTION {
				c.callOffset(from, target, offset, s.section)
			}
		}
	}
}

// relativeCalls finds calls within a section that need no relocation.
func (c *codeSize) relativeCalls() {
	for from := range c.functions {
		fn := c.functions[from]
		for offset := fn.start; offset+instructionSize <= fn.end; offset += instructionSize {
			ins := c.file.sections[fn.section].bytes[offset:]
			if ins[0] == opCall && c.source(ins) == pseudoCall {
				delta := int64(int32(c.file.order.Uint32(ins[4:]))) + 1
				if to, ok := c.at(fn.section, offset+uint64(delta*instructionSize)); ok {
					c.call(from, to)
				}
			}
		}
	}
}

// callOffset is a call or load from the instruction at offset of section to the
// function at the place that instruction gives within another section.
func (c *codeSize) callOffset(from, section int, offset uint64, to int) {
	code := c.file.sections[section].bytes
	if offset+instructionSize > uint64(len(code)) {
		return
	}
	ins := code[offset:]
	place := int64(int32(c.file.order.Uint32(ins[4:])))
	switch ins[0] {
	case opCall:
		place = (place + 1) * instructionSize
	case opLoad64:
	default:
		return
	}
	if callee, ok := c.at(to, uint64(place)); ok {
		c.call(from, callee)
	}
}

// source is the source register of an instruction.
func (c *codeSize) source(ins []byte) byte {
	if c.file.order.Uint16([]byte{0, 1}) == 1 {
		return ins[1] & 0xf // big-endian
	}
	return ins[1] >> 4
}

func (c *codeSize) call(from, to int) {
	c.functions[from].calls = append(c.functions[from].calls, to)
}

// link spends the size of everything function i reaches. seen holds, by
// function, the last i that came by (plus one).
func (c *codeSize) link(i int, seen []int, linked *budget) error {
	pending := []int{i}
	seen[i] = i + 1
	for len(pending) > 0 {
		fn := &c.functions[pending[len(pending)-1]]
		pending = pending[:len(pending)-1]
		// At least one each, so that the budget bounds the walk as well.
		if err := linked.spend(1 + int64(fn.end-fn.start)/instructionSize); err != nil {
			return err
		}
		for _, to := range fn.calls {
			if seen[to] != i+1 {
				seen[to] = i + 1
				pending = append(pending, to)
			}
		}
	}
	return nil
}
