// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"bytes"
	"debug/elf"
)

// mapsSection is where maps are defined by their BTF.
const mapsSection = ".maps"

// withoutWeakMaps is f, or what a copy of its bytes says in which the maps that
// are defined as weak are global. Headers define maps so that several objects
// may include them (libbpf's usdt.bpf.h); in one object it makes no difference,
// and libbpf takes both, but the reader only global ones.
func withoutWeakMaps(f *elfFile) (*elfFile, error) {
	if !f.eachWeakMap(func([]byte) {}) {
		return f, nil
	}
	f, err := check(bytes.Clone(f.data))
	if err != nil {
		return nil, err
	}
	f.eachWeakMap(func(symbol []byte) {
		symbol[4] = byte(elf.STB_GLOBAL)<<4 | byte(elf.ST_TYPE(symbol[4]))
	})
	return f, nil
}

// eachWeakMap calls do with the bytes of each symbol of a weak map, and says
// whether there was one.
func (f *elfFile) eachWeakMap(do func(symbol []byte)) (any bool) {
	for i := range f.sections {
		table := &f.sections[i]
		if table.typ != elf.SHT_SYMTAB {
			continue
		}
		for j := range int(table.size / symbolSize) {
			s := f.symbolAt(table, j)
			if s.bind == elf.STB_WEAK && s.section < len(f.sections) && f.sections[s.section].name == mapsSection {
				any = true
				do(table.bytes[j*symbolSize : (j+1)*symbolSize])
			}
		}
	}
	return any
}
