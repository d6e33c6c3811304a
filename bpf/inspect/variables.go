// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"cmp"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/schemas"
)

// ksymsSection lists what the kernel provides, in BTF alone: variables by their
// address, and functions.
const ksymsSection = ".ksyms"

// describeVariables describes every global variable, sorted by name. weak are the
// names of those that the object does without.
func describeVariables(spec *ebpf.CollectionSpec, weak map[string]bool) []schemas.Variable {
	var out []schemas.Variable
	// Sorted before the defaults are read, so that the same ones are within the
	// limit every time.
	variables := slices.SortedFunc(maps.Values(spec.Variables), func(a, b *ebpf.VariableSpec) int { return cmp.Compare(a.Name, b.Name) })
	texts := newBudget(maxDefaultTexts, "bytes of defaults")
	for _, v := range variables {
		described := schemas.Variable{Name: v.Name, Size: v.Size(), Constant: v.Constant()}
		if v.Type != nil {
			described.Type = cType(v.Type.Type)
		}
		described.Default = defaultValue(v, spec.ByteOrder, texts)
		out = append(out, described)
	}
	if m := spec.Maps[KconfigMap]; m != nil {
		out = append(out, externs(m.Value, "kconfig", weak)...)
	}
	var symbols *btf.Datasec
	if spec.Types != nil && spec.Types.TypeByName(ksymsSection, &symbols) == nil {
		out = append(out, externs(symbols, "ksym", weak)...)
	}
	slices.SortStableFunc(out, func(a, b schemas.Variable) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// externs describes the variables of a section that has no content.
func externs(section btf.Type, kind string, weak map[string]bool) []schemas.Variable {
	list, ok := section.(*btf.Datasec)
	if !ok {
		return nil
	}
	var out []schemas.Variable
	for _, info := range list.Vars {
		v, ok := info.Type.(*btf.Var)
		if !ok {
			continue // a function
		}
		described := schemas.Variable{Name: v.Name, Type: cType(v.Type), Extern: kind, Weak: weak[v.Name]}
		if size, err := btf.Sizeof(v.Type); err == nil && size >= 0 {
			described.Size = uint32(size)
		}
		out = append(out, described)
	}
	return out
}

// place is where a variable is in the maps.
type place struct {
	name     string
	from, to uint32
}

// places are the variables of each data map, in the order they stand there.
type places map[string][]place

func variablePlaces(spec *ebpf.CollectionSpec) places {
	out := places{}
	for _, v := range spec.Variables {
		out[v.SectionName] = append(out[v.SectionName], place{v.Name, v.Offset, v.Offset + v.Size()})
	}
	if m := spec.Maps[KconfigMap]; m != nil {
		if section, ok := m.Value.(*btf.Datasec); ok {
			for _, v := range section.Vars {
				out[KconfigMap] = append(out[KconfigMap], place{v.Type.TypeName(), v.Offset, v.Offset + v.Size})
			}
		}
	}
	for _, list := range out {
		slices.SortFunc(list, func(a, b place) int { return cmp.Compare(a.from, b.from) })
	}
	return out
}

// used lists the variables whose address instructions take, sorted and once each.
func (p places) used(insns asm.Instructions) []string {
	var out []string
	for i := range insns {
		ins := &insns[i]
		if !ins.OpCode.IsDWordLoad() || ins.Src != asm.PseudoMapValue {
			continue
		}
		list, offset := p[ins.Reference()], uint32(uint64(ins.Constant)>>32)
		at, found := slices.BinarySearchFunc(list, offset, func(v place, offset uint32) int { return cmp.Compare(v.from, offset) })
		if !found {
			at-- // the one that begins before
		}
		if at >= 0 && offset < list[at].to {
			out = append(out, list[at].name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
