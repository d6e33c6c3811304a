// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"strconv"

	"github.com/cilium/ebpf/btf"
)

// CType is the C spelling of t as it would stand in a declaration without a name:
// "struct counter", "const char[16]", "__u32 *"; "void" for no type. How deep it looks
// is bounded.
func CType(t btf.Type) string { return declare(t, "", maxDepth) }

// declare spells t around inner, the part of the declarator built so far: C
// writes pointers before and arrays behind what they apply to.
func declare(t btf.Type, inner string, depth int) string {
	if depth == 0 {
		return "…"
	}
	switch t := t.(type) {
	case *btf.Pointer:
		if behind(t.Target) {
			return declare(t.Target, "(*"+inner+")", depth-1)
		}
		return declare(t.Target, "*"+inner, depth-1)
	case *btf.Array:
		return declare(t.Type, inner+"["+strconv.FormatUint(uint64(t.Nelems), 10)+"]", depth-1)
	case *btf.FuncProto:
		return declare(t.Return, inner+"("+parameters(t)+")", depth-1)
	case *btf.TypeTag:
		return declare(t.Type, inner, depth-1)
	case *btf.Const:
		return qualified("const", t.Type, inner, depth)
	case *btf.Volatile:
		return qualified("volatile", t.Type, inner, depth)
	case *btf.Restrict:
		return qualified("restrict", t.Type, inner, depth)
	default:
		return spaced(baseName(t), inner)
	}
}

// qualified puts a qualifier where C has it: behind a pointer's star, before
// everything else.
func qualified(word string, t btf.Type, inner string, depth int) string {
	if p, ok := t.(*btf.Pointer); ok {
		return declare(p, spaced(word, inner), depth-1)
	}
	return word + " " + declare(t, inner, depth-1)
}

// behind says whether t's spelling continues behind its name.
func behind(t btf.Type) bool {
	switch t.(type) {
	case *btf.Array, *btf.FuncProto:
		return true
	}
	return false
}

// spaced joins a type name and a declarator: "__u32 *", but "char[16]".
func spaced(base, inner string) string {
	if inner == "" || inner[0] == '[' {
		return base + inner
	}
	return base + " " + inner
}

// parameters says how many there are, not which: a hostile prototype would
// expand without end, and no map or variable needs more.
func parameters(t *btf.FuncProto) string {
	if len(t.Params) == 0 {
		return "void"
	}
	return "…"
}

func baseName(t btf.Type) string {
	switch t := t.(type) {
	case nil, *btf.Void:
		return "void"
	case *btf.Struct:
		return tagged("struct", t.Name)
	case *btf.Union:
		return tagged("union", t.Name)
	case *btf.Enum:
		return tagged("enum", t.Name)
	case *btf.Fwd:
		return tagged(t.Kind.String(), t.Name)
	default:
		return t.TypeName()
	}
}

func tagged(keyword, name string) string {
	if name == "" {
		return keyword + " {…}"
	}
	return keyword + " " + name
}
