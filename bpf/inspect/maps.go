// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/schemas"
)

// Maps describes the maps of a parsed object as they are now, sorted by name:
// sizes that were changed after [Load] count.
func Maps(spec *ebpf.CollectionSpec) []schemas.Map { return describeMaps(spec) }

// describeMaps describes every map, sorted by name.
func describeMaps(spec *ebpf.CollectionSpec) []schemas.Map {
	out := make([]schemas.Map, 0, len(spec.Maps))
	for name, m := range spec.Maps {
		out = append(out, describeMap(name, m))
	}
	slices.SortFunc(out, func(a, b schemas.Map) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func describeMap(name string, m *ebpf.MapSpec) schemas.Map {
	out := schemas.Map{
		Name:       name,
		Type:       mapType(m.Type),
		KeySize:    m.KeySize,
		ValueSize:  m.ValueSize,
		KeyType:    cType(m.Key),
		ValueType:  cType(m.Value),
		MaxEntries: m.MaxEntries,
		Flags:      m.Flags,
		Pinning:    pinning(m.Pinning),
		Values:     initialValues(m),
	}
	// The kernel has no maps of maps of maps.
	if m.InnerMap != nil && m.InnerMap.InnerMap == nil {
		inner := describeMap(m.InnerMap.Name, m.InnerMap)
		out.Inner = &inner
	}
	out.Memory, out.MemoryPerCPU = mapMemory(m)
	return out
}

// initialValues are the programs or maps that the definition puts into a map
// (`.values` of libbpf), nil when it does not.
func initialValues(m *ebpf.MapSpec) map[string]string {
	if m.Type != ebpf.ProgramArray && m.InnerMap == nil {
		return nil
	}
	var out map[string]string
	for _, kv := range m.Contents {
		index, ok := kv.Key.(uint32)
		name, ok2 := kv.Value.(string)
		if !ok || !ok2 {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		out[strconv.FormatUint(uint64(index), 10)] = name
	}
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
