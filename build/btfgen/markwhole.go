// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfgen

import (
	"reflect"

	"github.com/cilium/ebpf/btf"
)

// enter skips what relocations look through, and says whether p is to be looked
// into: not seen yet, and of one kind.
func (m *marking) enter(p *pair, seen map[pair]bool) (bool, error) {
	p.local, p.target = btf.UnderlyingType(p.local), btf.UnderlyingType(p.target)
	if seen[*p] || reflect.TypeOf(p.local) != reflect.TypeOf(p.target) {
		return false, nil
	}
	seen[*p] = true
	if m.left--; m.left < 0 {
		return false, errTooDeep
	}
	return true, nil
}

// compatible marks what type_exists, type_size and type_id compare: kinds, and
// those of what is pointed to, contained in arrays, or in signatures. Structs,
// unions and enums are the same if their kind is.
func (m *marking) compatible(p pair, seen map[pair]bool) error {
	if in, err := m.enter(&p, seen); !in {
		return err
	}
	switch local := p.local.(type) {
	case *btf.Pointer:
		m.of(p.target).follow = true
		return m.compatible(pair{local.Target, p.target.(*btf.Pointer).Target}, seen)
	case *btf.Array:
		target := p.target.(*btf.Array)
		if err := m.compatible(pair{local.Index, target.Index}, seen); err != nil {
			return err
		}
		return m.compatible(pair{local.Type, target.Type}, seen)
	case *btf.FuncProto:
		return m.signature(local, p.target.(*btf.FuncProto), seen, m.compatible)
	}
	return nil
}

// matching marks what type_matches compares: everything the program's type has,
// by name.
func (m *marking) matching(p pair, seen map[pair]bool) error {
	if in, err := m.enter(&p, seen); !in {
		return err
	}
	switch local := p.local.(type) {
	case *btf.Pointer:
		m.of(p.target).follow = true
		return m.matching(pair{local.Target, p.target.(*btf.Pointer).Target}, seen)
	case *btf.Array:
		return m.matching(pair{local.Type, p.target.(*btf.Array).Type}, seen)
	case *btf.FuncProto:
		return m.signature(local, p.target.(*btf.FuncProto), seen, m.matching)
	case *btf.Enum:
		m.of(p.target).all = true // how many there are matters too
	case *btf.Struct, *btf.Union:
		return m.matchingMembers(p, seen)
	}
	return nil
}

// matchingMembers marks the members of the same names. The last one of a name
// is compared; only those without name can be several.
func (m *marking) matchingMembers(p pair, seen map[pair]bool) error {
	local, _ := members(p.local)
	target, _ := members(p.target)
	n := m.of(p.target)
	n.atLeast = max(n.atLeast, len(local))
	byName := make(map[string]btf.Member, len(target))
	wanted := make(map[string]bool, len(local))
	for _, l := range local {
		wanted[l.Name] = true
	}
	for i, t := range target {
		if wanted[t.Name] {
			n.entries[i] = true
			byName[t.Name] = t
		}
	}
	for _, l := range local {
		if t, ok := byName[l.Name]; ok {
			if err := m.matching(pair{l.Type, t.Type}, seen); err != nil {
				return err
			}
		}
	}
	return nil
}

// signature marks return value and parameters.
func (m *marking) signature(local, target *btf.FuncProto, seen map[pair]bool, mark func(pair, map[pair]bool) error) error {
	m.of(target).follow = true
	if err := mark(pair{local.Return, target.Return}, seen); err != nil {
		return err
	}
	for i := range min(len(local.Params), len(target.Params)) {
		if err := mark(pair{local.Params[i].Type, target.Params[i].Type}, seen); err != nil {
			return err
		}
	}
	return nil
}
