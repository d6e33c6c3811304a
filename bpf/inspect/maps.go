// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/schemas"
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
	slices.SortFunc(out, func(a, b schemas.Map) int { return cmp.Compare(a.Name, b.Name) })
	return out
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
