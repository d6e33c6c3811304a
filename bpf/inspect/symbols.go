// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"debug/elf"
	"fmt"
	"math"
	"strings"
)

// symbol is one entry of a symbol table.
type symbol struct {
	name    []byte
	typ     elf.SymType
	bind    elf.SymBind
	hidden  bool
	section int // may not exist: special sections have high numbers
	value   uint64
	size    uint64
}

// symbolAt decodes entry i of a symbol table, whose names are in the section it
// links to.
func (f *elfFile) symbolAt(table *section, i int) symbol {
	e := table.bytes[i*symbolSize:]
	s := symbol{
		typ:     elf.ST_TYPE(e[4]),
		bind:    elf.ST_BIND(e[4]),
		hidden:  hidden(elf.ST_VISIBILITY(e[5])),
		section: int(f.order.Uint16(e[6:])),
		value:   f.order.Uint64(e[8:]),
		size:    f.order.Uint64(e[16:]),
	}
	if int(table.link) < len(f.sections) {
		s.name, _ = tableString(f.sections[table.link].bytes, f.order.Uint32(e))
	}
	return s
}

// checkSymbols bounds how many symbols there are, their names, and the bytes
// they cover, all of which are copied.
func (f *elfFile) checkSymbols() error {
	names := newBudget(maxNames, "bytes of symbol names")
	covered := newBudget(maxExpansion, "bytes covered by symbols")
	for i := range f.sections {
		table := &f.sections[i]
		if table.typ != elf.SHT_SYMTAB {
			continue
		}
		if table.size/symbolSize > maxSymbols {
			return fmt.Errorf("%w: more than %d symbols", ErrTooLarge, maxSymbols)
		}
		keep := f.symbols == nil // as the reader does: the first table counts
		for j := range int(table.size / symbolSize) {
			s := f.symbolAt(table, j)
			if keep {
				f.symbols = append(f.symbols, s)
			}
			if err := names.spend(int64(len(s.name))); err != nil {
				return err
			}
			if s.size > math.MaxInt64 {
				return covered.spend(math.MaxInt64)
			}
			if err := covered.spend(int64(s.size)); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkRelocations bounds those that the reader keeps. Debug sections have many
// more, which it passes over.
func (f *elfFile) checkRelocations() error {
	kept := newBudget(maxRelocations, "relocations")
	for i := range f.sections {
		s := &f.sections[i]
		if s.typ != elf.SHT_REL || f.debug(int(s.info)) {
			continue
		}
		if err := kept.spend(int64(s.size / relocationSize)); err != nil {
			return err
		}
	}
	return nil
}

// debug says whether a section has nothing to load.
func (f *elfFile) debug(index int) bool {
	if index >= len(f.sections) {
		return true
	}
	s := &f.sections[index]
	return !s.code() && (strings.HasPrefix(s.name, ".debug") || strings.HasPrefix(s.name, ".BTF"))
}
