// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// BTF type kinds that are not alike (linux/btf.h, BTF_KIND_*).
const (
	btfInt       = 1
	btfPtr       = 2
	btfArray     = 3
	btfStruct    = 4
	btfUnion     = 5
	btfEnum      = 6
	btfFwd       = 7
	btfTypedef   = 8
	btfVolatile  = 9
	btfConst     = 10
	btfRestrict  = 11
	btfFunc      = 12
	btfFuncProto = 13
	btfVar       = 14
	btfDatasec   = 15
	btfFloat     = 16
	btfDeclTag   = 17
	btfTypeTag   = 18
	btfEnum64    = 19
)

// btfLayout says what follows the 12 bytes every type starts with.
type btfLayout struct {
	refers bool // the third word is a type, not a size
	// A list of as many entries as the header says, or fixed bytes.
	entry, fixed int
	// Offsets of types in each entry (or the fixed bytes), and whether an entry
	// starts with a name.
	types []int
	named bool
}

// btfLayouts by kind, after linux/btf.h.
var btfLayouts = [...]btfLayout{
	btfInt:       {fixed: 4},
	btfPtr:       {refers: true},
	btfArray:     {fixed: 12, types: []int{0, 4}},
	btfStruct:    {entry: 12, types: []int{4}, named: true},
	btfUnion:     {entry: 12, types: []int{4}, named: true},
	btfEnum:      {entry: 8, named: true},
	btfFwd:       {},
	btfTypedef:   {refers: true},
	btfVolatile:  {refers: true},
	btfConst:     {refers: true},
	btfRestrict:  {refers: true},
	btfFunc:      {refers: true},
	btfFuncProto: {refers: true, entry: 8, types: []int{4}, named: true},
	btfVar:       {refers: true, fixed: 4},
	btfDatasec:   {entry: 12, types: []int{0}},
	btfFloat:     {},
	btfDeclTag:   {refers: true, fixed: 4},
	btfTypeTag:   {refers: true},
	btfEnum64:    {entry: 12, named: true},
}

// btfGraph is the skeleton of the types of a .BTF section: which refer to which.
type btfGraph struct {
	file           *elfFile
	types, strings []byte
	names          *budget
	// sectionAt, typesAt and stringsAt are where they start in the file.
	typesAt, stringsAt uint64
	sectionAt          uint64
	// refs by type number; type 0 is void. A declaration tag is listed with what
	// it tags, since both are copied together.
	refs     [][]uint32
	datasecs []datasec
}

// datasec is a type that lists the variables of an ELF section.
type datasec struct {
	name string
	vars []uint32
	// at is where the type stands in the types, and nameAt where its name does in
	// the strings.
	at, nameAt uint32
}

// checkBTF bounds the type information: how many types, the names they carry,
// how often they are copied.
func (f *elfFile) checkBTF() error {
	for i := range f.sections {
		s := &f.sections[i]
		if s.name != ".BTF" && s.name != ".BTF.ext" {
			continue
		}
		if s.size > maxBTF {
			return fmt.Errorf("%w: section %s has %d bytes, at most %d are accepted", ErrTooLarge, s.name, s.size, maxBTF)
		}
		if s.name != ".BTF" {
			continue
		}
		g := &btfGraph{file: f, names: newBudget(maxNames, "bytes of type names"), sectionAt: s.at}
		for _, step := range []func() error{func() error { return g.readHeader(s.bytes) }, g.checkStrings, g.readTypes, g.checkCopies} {
			if err := step(); err != nil {
				return err
			}
		}
		f.btf = g
	}
	return nil
}

// readHeader finds the types and strings (struct btf_header of linux/btf.h).
func (g *btfGraph) readHeader(data []byte) error {
	const headerSize = 24
	if len(data) < headerSize {
		return fmt.Errorf("%w: its .BTF section is cut short", ErrUnreadable)
	}
	word := func(at int) uint64 { return uint64(g.file.order.Uint32(data[at:])) }
	start, size := word(4), uint64(len(data))
	types, typesEnd := start+word(8), start+word(8)+word(12)
	text, textEnd := start+word(16), start+word(16)+word(20)
	if typesEnd > size || textEnd > size {
		return fmt.Errorf("%w: its .BTF section is cut short", ErrUnreadable)
	}
	g.types, g.strings = data[types:typesEnd], data[text:textEnd]
	g.typesAt, g.stringsAt = g.sectionAt+types, g.sectionAt+text
	return nil
}

// checkStrings bounds single strings, and CO-RE access paths ("0:1:0"), of which
// each step becomes a number for every relocation that refers to it.
func (g *btfGraph) checkStrings() error {
	for rest := g.strings; len(rest) > 0; {
		var s []byte
		s, rest, _ = bytes.Cut(rest, []byte{0})
		if len(s) > maxString {
			return fmt.Errorf("%w: a string of %d bytes in its .BTF section, at most %d are accepted", ErrTooLarge, len(s), maxString)
		}
		if bytes.Count(s, []byte(":")) >= maxAccessor && len(bytes.Trim(s, "0123456789:")) == 0 {
			return fmt.Errorf("%w: a CO-RE access path of more than %d steps", ErrTooLarge, maxAccessor)
		}
	}
	return nil
}

// readTypes walks the types once.
func (g *btfGraph) readTypes() error {
	g.refs = make([][]uint32, 1)
	var tags [][2]uint32
	for rest := g.types; len(rest) > 0; {
		if len(g.refs) > maxTypes {
			return fmt.Errorf("%w: more than %d types", ErrTooLarge, maxTypes)
		}
		n, err := g.readType(rest)
		if err != nil {
			return err
		}
		if info := g.file.order.Uint32(rest[4:]); info>>24&0x1f == btfDeclTag {
			tags = append(tags, [2]uint32{g.file.order.Uint32(rest[8:]), uint32(len(g.refs) - 1)})
		}
		rest = rest[n:]
	}
	for _, t := range tags {
		if target := t[0]; uint64(target) < uint64(len(g.refs)) {
			g.refs[target] = append(g.refs[target], t[1])
		}
	}
	return g.checkRefs()
}

// checkRefs refuses references to types that are not there. The parser of
// cilium/ebpf takes what it finds behind one for absent rather than broken, and
// which of several faults it finds first may differ from run to run.
func (g *btfGraph) checkRefs() error {
	for id, refs := range g.refs {
		for _, ref := range refs {
			if uint64(ref) >= uint64(len(g.refs)) {
				return fmt.Errorf("%w: its BTF type %d refers to type %d of %d", ErrUnreadable, id, ref, len(g.refs)-1)
			}
		}
	}
	return nil
}

// readType appends the type at the start of data to refs and returns its length.
func (g *btfGraph) readType(data []byte) (int, error) {
	const size = 12
	if len(data) < size {
		return 0, fmt.Errorf("%w: its BTF types are cut short", ErrUnreadable)
	}
	name, info, third := g.file.order.Uint32(data), g.file.order.Uint32(data[4:]), g.file.order.Uint32(data[8:])
	kind, count := int(info>>24&0x1f), int(info&0xffff)
	if kind == 0 || kind >= len(btfLayouts) {
		return 0, fmt.Errorf("%w: BTF type kind %d is not known", ErrUnreadable, kind)
	}
	layout := btfLayouts[kind]
	length := size + layout.fixed + count*layout.entry
	if len(data) < length {
		return 0, fmt.Errorf("%w: its BTF types are cut short", ErrUnreadable)
	}
	if err := g.spendName(name); err != nil {
		return 0, err
	}
	var refs []uint32
	if layout.refers {
		refs = append(refs, third)
	}
	entries := slices.Chunk(data[size:length], max(layout.entry, layout.fixed, 1))
	for e := range entries {
		for _, at := range layout.types {
			refs = append(refs, g.file.order.Uint32(e[at:]))
		}
		if layout.named {
			if err := g.spendName(g.file.order.Uint32(e)); err != nil {
				return 0, err
			}
		}
	}
	g.refs = append(g.refs, refs)
	if kind == btfDatasec {
		s, _ := tableString(g.strings, name)
		g.datasecs = append(g.datasecs, datasec{name: string(s), vars: refs, at: uint32(len(g.types) - len(data)), nameAt: name})
	}
	return length, nil
}

// spendName accounts for one copy of a name.
func (g *btfGraph) spendName(offset uint32) error {
	s, _ := tableString(g.strings, offset)
	return g.names.spend(int64(len(s)))
}

// checkCopies bounds what is copied for each variable: the types it reaches, and
// the bytes of a struct_ops value.
func (g *btfGraph) checkCopies() error {
	copies := newBudget(maxTypeCopies, "copies of types for variables")
	values := newBudget(maxExpansion, "bytes of struct_ops values")
	seen := make([]int, len(g.refs))
	walk := 0
	for _, d := range g.datasecs {
		if err := values.spend(int64(len(d.vars)) * int64(g.structOps(d.name))); err != nil {
			return err
		}
		if !dataSection(d.name) {
			continue
		}
		for _, v := range d.vars {
			walk++
			if err := g.reach(v, walk, seen, copies); err != nil {
				return err
			}
		}
	}
	return nil
}

// dataSection says whether the variables of a section become global variables.
func dataSection(name string) bool {
	return name == ".bss" || strings.HasPrefix(name, ".data") || strings.HasPrefix(name, ".rodata")
}

// structOps is the size of a section if its variables are struct_ops values.
func (g *btfGraph) structOps(name string) int {
	for i := range g.file.sections {
		if s := &g.file.sections[i]; s.name == name && s.name == ".struct_ops.link" {
			return len(s.bytes)
		}
	}
	return 0
}

// reach spends one copy for each type that root reaches, itself included. seen
// holds, by type, the last walk that came by.
func (g *btfGraph) reach(root uint32, walk int, seen []int, copies *budget) error {
	pending := []uint32{root}
	for len(pending) > 0 {
		id := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		if uint64(id) >= uint64(len(g.refs)) || seen[id] == walk {
			continue
		}
		seen[id] = walk
		if err := copies.spend(1 + int64(len(g.refs[id]))); err != nil {
			return err
		}
		pending = append(pending, g.refs[id]...)
	}
	return nil
}
