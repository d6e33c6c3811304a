// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/bpf/probes"
)

// usesMap says whether a program refers to the map.
func usesMap(spec *ebpf.ProgramSpec, name string) bool {
	for i := range spec.Instructions {
		if spec.Instructions[i].Reference() == name {
			return true
		}
	}
	return false
}

// giveSpecs tells a program where the arguments of its probe are, by writing
// specifications to the map its object has for that, and returns the cookies by
// which the program finds them, one for each place.
func (h *host) giveSpecs(p *placement, prog *ebpf.Program, places [][]probes.Arg) ([]uint64, error) {
	specs := h.mapOf(p.link.Program, prog, probes.SpecsMap)
	if specs == nil || specs.Type() != ebpf.Array || specs.KeySize() != 4 || specs.ValueSize() != probes.SpecSize {
		return nil, fmt.Errorf("%w is not the array of libbpf's usdt.bpf.h", errSpecs)
	}
	cookies := make([]uint64, len(places))
	known := map[string]uint32{}
	for i, args := range places {
		spec, err := probes.Spec(binary.NativeEndian, args)
		if err != nil {
			return nil, err
		}
		id, again := known[string(spec)]
		if !again {
			id = h.usdtSpecs
			if id >= specs.MaxEntries() {
				return nil, fmt.Errorf("%w has %d entries, and more are needed: compile it with a larger BPF_USDT_MAX_SPEC_CNT", errSpecs, specs.MaxEntries())
			}
			if err := specs.Put(id, spec); err != nil {
				return nil, fmt.Errorf("writing where the arguments are: %w", err)
			}
			h.usdtSpecs++
			known[string(spec)] = id
		}
		cookies[i] = uint64(id)
	}
	return cookies, nil
}

// mapOf is a map of the object that a loaded program is of, nil when it has none
// of that name.
func (h *host) mapOf(name string, prog *ebpf.Program, m string) *ebpf.Map {
	for _, c := range h.objs.collections {
		if c.Programs[name] == prog {
			return c.Maps[m]
		}
	}
	return nil
}
