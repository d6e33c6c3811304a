// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfgen

import (
	"errors"
	"reflect"

	"github.com/cilium/ebpf/btf"
)

// need says what of a type of the kernel is kept beside its kind, name and size.
type need struct {
	// members of a struct or union, values of an enum, by index.
	entries map[int]bool
	// all of an enum's values.
	all bool
	// atLeast so many members, whichever: type_matches counts them first.
	atLeast int
	// follow a pointer or the signature of a function.
	follow bool
}

// marking collects the needs. It walks a program's type and the kernel's side by
// side, as the loader will, and goes on as long as they agree.
type marking struct {
	needs map[btf.Type]*need
	// left is how many pairs of types may still be looked at. The walk is bounded
	// by both sides, which may come from a stranger.
	left int
}

// maxPairs is far above what the largest objects need, about 10000.
const maxPairs = 1 << 22

var errTooDeep = errors.New("the types refer to each other too often to be compared")

func newMarking() *marking { return &marking{needs: map[btf.Type]*need{}, left: maxPairs} }

func (m *marking) of(t btf.Type) *need {
	n := m.needs[t]
	if n == nil {
		n = &need{entries: map[int]bool{}}
		m.needs[t] = n
	}
	return n
}

// pair of a program's type and the kernel's.
type pair struct{ local, target btf.Type }

// mark notes what r needs of one candidate.
func (m *marking) mark(r relocation, target btf.Type) error {
	switch r.kind {
	case fieldByteOffset, fieldByteSize, fieldExists, fieldSigned, fieldLShift, fieldRShift:
		return m.field(r, target)
	case typeIDTarget, typeExists, typeSize:
		return m.compatible(pair{r.local, target}, map[pair]bool{})
	case typeMatches:
		return m.matching(pair{r.local, target}, map[pair]bool{})
	case enumvalExists, enumvalValue:
		m.enumValue(r, target)
	}
	return nil
}

// candidate says whether r can be about target at all: a struct's name may be
// a function's too.
func candidate(r relocation, target btf.Type) bool {
	local, target := btf.UnderlyingType(r.local), btf.UnderlyingType(target)
	_, ok := members(local)
	if _, also := members(target); ok && also {
		return true // in field relocations one may stand for the other
	}
	return reflect.TypeOf(local) == reflect.TypeOf(target)
}

// members of a struct or union; false for other types.
func members(t btf.Type) ([]btf.Member, bool) {
	switch t := t.(type) {
	case *btf.Struct:
		return t.Members, true
	case *btf.Union:
		return t.Members, true
	}
	return nil, false
}

// field follows r's path through both types by the names of members.
func (m *marking) field(r relocation, target btf.Type) error {
	local := r.local
	for _, step := range r.path[1:] { // the first is an index of the type itself
		local, target = btf.UnderlyingType(local), btf.UnderlyingType(target)
		if array, ok := local.(*btf.Array); ok {
			other, ok := target.(*btf.Array)
			if !ok {
				return nil
			}
			local, target = array.Type, other.Type
			continue
		}
		from, ok := members(local)
		if !ok || step >= len(from) {
			return nil // no compiler writes that, and no loader takes it
		}
		local = from[step].Type
		if from[step].Name == "" {
			continue // the kernel may have put the fields elsewhere
		}
		var err error
		if target, err = m.member(target, from[step].Name); target == nil {
			return err
		}
	}
	return nil
}

// step is where a search has come: to which type, and by which members.
type step struct {
	typ  btf.Type
	via  *step
	from int
}

// member searches a struct or union for a member and marks the way to it, which
// may lead through others without name. Nil when there is none. The order is
// the loader's, level by level.
func (m *marking) member(target btf.Type, name string) (btf.Type, error) {
	queue := []*step{{typ: target}}
	seen := map[btf.Type]bool{}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		if seen[at.typ] {
			continue
		}
		seen[at.typ] = true
		list, _ := members(at.typ)
		for i, member := range list {
			if m.left--; m.left < 0 {
				return nil, errTooDeep
			}
			if member.Name == name {
				m.of(at.typ).entries[i] = true
				for ; at.via != nil; at = at.via {
					m.of(at.via.typ).entries[at.from] = true
				}
				return member.Type, nil
			}
			if member.Name == "" {
				queue = append(queue, &step{typ: btf.UnderlyingType(member.Type), via: at, from: i})
			}
		}
	}
	return nil, nil
}

// enumValue marks the values of the same name.
func (m *marking) enumValue(r relocation, target btf.Type) {
	local, ok := btf.UnderlyingType(r.local).(*btf.Enum)
	enum, also := btf.UnderlyingType(target).(*btf.Enum)
	if !ok || !also || r.path[0] >= len(local.Values) {
		return
	}
	name := essentialName(local.Values[r.path[0]].Name)
	for i, v := range enum.Values {
		if essentialName(v.Name) == name {
			m.of(enum).entries[i] = true
		}
	}
}
