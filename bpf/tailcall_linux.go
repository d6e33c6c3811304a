// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"maps"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/schemas"
)

// tailPrograms are the programs that the object itself puts into a program array
// (`.values = {…}` in C), with the name of the array. They run by being called
// from another program, and are attached only when somebody asks for it.
func (o *object) tailPrograms() map[string]string {
	out := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(o.spec.Maps)) {
		if o.spec.Maps[name].Type != ebpf.ProgramArray {
			continue
		}
		for _, kv := range o.spec.Maps[name].Contents {
			if program, ok := kv.Value.(string); ok && o.spec.Programs[program] != nil {
				out[program] = name
			}
		}
	}
	return out
}

// typeTails gives a tail program whose section says no type the one of the
// program that calls through the array: an array holds programs of one type.
func (o *object) typeTails(tails map[string]string) {
	for program, array := range tails {
		spec := o.spec.Programs[program]
		if spec.Type != ebpf.UnspecifiedProgram {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(o.spec.Programs)) {
			caller := o.spec.Programs[name]
			if caller.Type == ebpf.UnspecifiedProgram || !uses(caller, array) {
				continue
			}
			spec.Type, spec.AttachType = caller.Type, caller.AttachType
			i := slices.IndexFunc(o.desc.Programs, func(d schemas.Program) bool { return d.Name == program })
			j := slices.IndexFunc(o.desc.Programs, func(d schemas.Program) bool { return d.Name == name })
			o.desc.Programs[i].Type = o.desc.Programs[j].Type
			break
		}
	}
}

// uses says whether a program refers to a map.
func uses(p *ebpf.ProgramSpec, mapName string) bool {
	for i := range p.Instructions {
		if ins := &p.Instructions[i]; ins.IsLoadFromMap() && ins.Reference() == mapName {
			return true
		}
	}
	return false
}
