// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package probes

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"
)

// Function is one that the file itself contains.
type Function struct {
	Name string
	// Offset of its first instruction, from the start of the file.
	Offset uint64
}

// Functions lists those whose name matches the pattern (see [Match]), by offset.
// Of several names for one place it keeps one. More than limit of them is an
// error that wraps [ErrTooLarge].
func (f *File) Functions(pattern string, limit int) ([]Function, error) {
	found := map[uint64]string{}
	for _, typ := range []elf.SectionType{elf.SHT_SYMTAB, elf.SHT_DYNSYM} {
		i := slices.IndexFunc(f.sections, func(s section) bool { return s.typ == typ })
		if i < 0 {
			continue
		}
		if err := f.functions(f.sections[i], pattern, limit, found); err != nil {
			return nil, err
		}
	}
	list := make([]Function, 0, len(found))
	for offset, name := range found {
		list = append(list, Function{Name: name, Offset: offset})
	}
	slices.SortFunc(list, func(a, b Function) int {
		if a.Offset < b.Offset {
			return -1
		}
		return 1 // no two are equal
	})
	return list, nil
}

// functions adds those of one symbol table.
func (f *File) functions(table section, pattern string, limit int, found map[uint64]string) error {
	names, err := f.symbolNames(table)
	if err != nil {
		return err
	}
	const chunk = 4096 * symbolSize
	for done := uint64(0); done < table.size; done += chunk {
		symbols, err := f.read(table.offset+done, min(chunk, table.size-done))
		if err != nil {
			return err
		}
		for s := range slices.Chunk(symbols, symbolSize) {
			name, offset, ok := f.function(s, names, pattern)
			if !ok || found[offset] != "" {
				continue
			}
			if len(found) == limit {
				return fmt.Errorf("%w: more than %d functions match", ErrTooLarge, limit)
			}
			found[offset] = string(name)
		}
	}
	return nil
}

// symbolNames checks a symbol table against the limits and reads its names.
func (f *File) symbolNames(table section) ([]byte, error) {
	switch {
	case table.flags&elf.SHF_COMPRESSED != 0 || table.size%symbolSize != 0 || table.link >= uint64(len(f.sections)):
		return nil, fmt.Errorf("%w: its symbol table", ErrUnreadable)
	case table.size/symbolSize > maxSymbols:
		return nil, fmt.Errorf("%w: %d symbols", ErrTooLarge, table.size/symbolSize)
	}
	names := f.sections[table.link]
	if names.size > maxStrings || names.typ != elf.SHT_STRTAB || names.flags&elf.SHF_COMPRESSED != 0 {
		return nil, fmt.Errorf("%w: %d bytes of symbol names", ErrTooLarge, names.size)
	}
	return f.read(names.offset, names.size)
}

// function looks at one symbol: where its code is, if it is a function of this
// file and matches.
func (f *File) function(symbol, names []byte, pattern string) (name []byte, offset uint64, ok bool) {
	start := uint64(f.order.Uint32(symbol))
	undefined := elf.SectionIndex(f.order.Uint16(symbol[6:])) == elf.SHN_UNDEF
	if elf.ST_TYPE(symbol[4]) != elf.STT_FUNC || undefined || start >= uint64(len(names)) {
		return nil, 0, false
	}
	name, _, ok = bytes.Cut(names[start:], []byte{0})
	if !ok || len(name) == 0 || len(name) > maxName || !Match(pattern, string(name)) {
		return nil, 0, false
	}
	offset, ok = f.place(f.order.Uint64(symbol[8:]), true)
	return name, offset, ok
}
