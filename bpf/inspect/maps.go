// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/schemas"
)

const (
	// kconfigSection exists in BTF alone; the loader makes the map.
	kconfigSection = ".kconfig"
	// flagReadOnlyProgram is BPF_F_RDONLY_PROG of linux/bpf.h.
	flagReadOnlyProgram = 1 << 7
)

// describeMaps describes every map, sorted by name.
func describeMaps(spec *ebpf.CollectionSpec) []schemas.Map {
	out := make([]schemas.Map, 0, len(spec.Maps))
	for name, m := range spec.Maps {
		out = append(out, schemas.Map{
			Name:       name,
			Type:       mapType(m.Type),
			KeySize:    m.KeySize,
			ValueSize:  m.ValueSize,
			KeyType:    cType(m.Key),
			ValueType:  cType(m.Value),
			MaxEntries: m.MaxEntries,
			Flags:      m.Flags,
			Pinning:    pinning(m.Pinning),
		})
	}
	if m, ok := kconfig(spec); ok {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b schemas.Map) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// kconfig describes the map of `extern … __kconfig` variables, which the parser
// keeps to itself until it loads.
func kconfig(spec *ebpf.CollectionSpec) (schemas.Map, bool) {
	if spec.Types == nil {
		return schemas.Map{}, false
	}
	var section *btf.Datasec
	if err := spec.Types.TypeByName(kconfigSection, &section); err != nil {
		return schemas.Map{}, false
	}
	return schemas.Map{
		Name:       kconfigSection,
		Type:       mapType(ebpf.Array),
		KeySize:    4,
		ValueSize:  section.Size,
		MaxEntries: 1,
		Flags:      flagReadOnlyProgram,
	}, true
}

func pinning(p ebpf.PinType) string {
	switch p {
	case ebpf.PinNone:
		return ""
	case ebpf.PinByName:
		return "by_name"
	default:
		return fmt.Sprintf("unknown#%d", uint32(p))
	}
}

// describeVariables describes every global variable, sorted by name.
func describeVariables(spec *ebpf.CollectionSpec) []schemas.Variable {
	var out []schemas.Variable
	for _, v := range spec.Variables {
		described := schemas.Variable{Name: v.Name, Size: v.Size(), Constant: v.Constant()}
		if v.Type != nil {
			described.Type = cType(v.Type.Type)
		}
		out = append(out, described)
	}
	slices.SortFunc(out, func(a, b schemas.Variable) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
