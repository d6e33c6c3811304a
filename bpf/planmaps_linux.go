// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"slices"

	"github.com/cilium/ebpf"
)

// mapSpec is the map that will be created by that name, which starts with the
// object's where several objects have one; nil when there is none.
func (p *plan) mapSpec(name string) *ebpf.MapSpec {
	for _, o := range p.objects {
		prefix := p.mapPrefix(o)
		for short, spec := range o.spec.Maps {
			if prefix+short == name {
				return spec
			}
		}
	}
	return nil
}

// mapNames are those mapSpec knows, sorted.
func (p *plan) mapNames() []string {
	var names []string
	for _, o := range p.objects {
		prefix := p.mapPrefix(o)
		for short := range o.spec.Maps {
			names = append(names, prefix+short)
		}
	}
	slices.Sort(names)
	return names
}
