// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

// What libbpf takes and the reader does not, as libbpf's own usdt.bpf.h has it.

import (
	"bytes"
	"debug/elf"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// mapsSection is where maps are defined by their BTF.
const mapsSection = ".maps"

// readable is f, or what a copy of its bytes says in which the maps that are
// defined as weak are global. Headers define maps so that several objects may
// include them (libbpf's usdt.bpf.h); in one object it makes no difference, and
// libbpf takes both, but the parser only global ones.
func readable(f *elfFile) (*elfFile, error) {
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
func (f *elfFile) eachWeakMap(do func(symbol []byte)) (found bool) {
	for i := range f.sections {
		table := &f.sections[i]
		if table.typ != elf.SHT_SYMTAB {
			continue
		}
		for j := range int(table.size / symbolSize) {
			s := f.symbolAt(table, j)
			if s.bind == elf.STB_WEAK && s.section < len(f.sections) && f.sections[s.section].name == mapsSection {
				found = true
				do(table.bytes[j*symbolSize : (j+1)*symbolSize])
			}
		}
	}
	return found
}

func hidden(v elf.SymVis) bool { return v == elf.STV_HIDDEN || v == elf.STV_INTERNAL }

// hideFunctions makes functions that are hidden (__hidden in bpf_helpers.h)
// static by their BTF, as libbpf does: the verifier then checks them for each
// call, by what the caller passes, and not once for all arguments there may be.
func (f *elfFile) hideFunctions(spec *ebpf.CollectionSpec) {
	names := map[string]bool{}
	for _, s := range f.symbols {
		if s.hidden && s.typ == elf.STT_FUNC {
			names[string(s.name)] = true
		}
	}
	if len(names) == 0 {
		return
	}
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if fn := btf.FuncMetadata(&p.Instructions[i]); fn != nil && names[fn.Name] {
				fn.Linkage = btf.StaticFunc
			}
		}
	}
}
