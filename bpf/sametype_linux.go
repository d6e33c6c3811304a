// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"slices"

	"github.com/cilium/ebpf/btf"
)

// sameType says whether a value of type a can be read as one of type b: the same
// layout with the same names. Qualifiers and typedefs do not count, and of what
// pointers point to only kind and name do.
func sameType(a, b btf.Type) bool { return (&typePairs{}).same(a, b) }

// typePairs are pairs of types that are being compared, or have been found the
// same. Foreign types may contain themselves.
type typePairs struct{ seen [][2]btf.Type }

func (p *typePairs) same(a, b btf.Type) bool {
	a, b = btf.UnderlyingType(a), btf.UnderlyingType(b)
	pair := [2]btf.Type{a, b}
	if a.TypeName() != b.TypeName() {
		return false
	}
	if slices.Contains(p.seen, pair) {
		return true
	}
	p.seen = append(p.seen, pair)
	switch a := a.(type) {
	case *btf.Int:
		b, ok := b.(*btf.Int)
		return ok && a.Size == b.Size && a.Encoding == b.Encoding
	case *btf.Float:
		b, ok := b.(*btf.Float)
		return ok && a.Size == b.Size
	case *btf.Enum:
		b, ok := b.(*btf.Enum)
		return ok && a.Size == b.Size && a.Signed == b.Signed && slices.Equal(a.Values, b.Values)
	case *btf.Array:
		b, ok := b.(*btf.Array)
		return ok && a.Nelems == b.Nelems && p.same(a.Type, b.Type)
	case *btf.Struct:
		b, ok := b.(*btf.Struct)
		return ok && a.Size == b.Size && p.members(a.Members, b.Members)
	case *btf.Union:
		b, ok := b.(*btf.Union)
		return ok && a.Size == b.Size && p.members(a.Members, b.Members)
	case *btf.Pointer:
		b, ok := b.(*btf.Pointer)
		return ok && sameName(a.Target, b.Target)
	case *btf.Datasec:
		b, ok := b.(*btf.Datasec)
		return ok && a.Size == b.Size && slices.EqualFunc(a.Vars, b.Vars, p.variable)
	case *btf.Void:
		_, ok := b.(*btf.Void)
		return ok
	}
	return false
}

func (p *typePairs) members(a, b []btf.Member) bool {
	return slices.EqualFunc(a, b, func(a, b btf.Member) bool {
		return a.Name == b.Name && a.Offset == b.Offset && a.BitfieldSize == b.BitfieldSize && p.same(a.Type, b.Type)
	})
}

func (p *typePairs) variable(a, b btf.VarSecinfo) bool {
	varA, okA := a.Type.(*btf.Var)
	varB, okB := b.Type.(*btf.Var)
	return okA && okB && varA.Name == varB.Name && a.Offset == b.Offset && a.Size == b.Size && p.same(varA.Type, varB.Type)
}

// sameName compares what is left of two types when one does not look inside.
func sameName(a, b btf.Type) bool {
	a, b = btf.UnderlyingType(a), btf.UnderlyingType(b)
	return kindOf(a) == kindOf(b) && a.TypeName() == b.TypeName()
}

// kindOf tells apart what the kernel tells apart in a pointer.
func kindOf(t btf.Type) string {
	switch t.(type) {
	case *btf.Struct:
		return "struct"
	case *btf.Union:
		return "union"
	case *btf.Void:
		return "void"
	case *btf.FuncProto:
		return "function"
	}
	return "other"
}
