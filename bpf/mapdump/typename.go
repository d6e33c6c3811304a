// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package mapdump

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// typeName spells a type as C does, shortly: "struct flow", "__u64[4]"; "" for
// nil. How deep it looks is bounded, for types come from strangers.
func typeName(t btf.Type) string {
	if t == nil {
		return ""
	}
	return typeNameAt(t, 0)
}

func typeNameAt(t btf.Type, depth int) string {
	if depth > maxDepth {
		return "…"
	}
	switch t := t.(type) {
	case *btf.Const:
		return typeNameAt(t.Type, depth+1)
	case *btf.Volatile:
		return typeNameAt(t.Type, depth+1)
	case *btf.Restrict:
		return typeNameAt(t.Type, depth+1)
	case *btf.TypeTag:
		return typeNameAt(t.Type, depth+1)
	case *btf.Struct:
		return tagged("struct", t.Name)
	case *btf.Union:
		return tagged("union", t.Name)
	case *btf.Enum:
		return tagged("enum", t.Name)
	case *btf.Pointer:
		return typeNameAt(t.Target, depth+1) + " *"
	case *btf.Array:
		return fmt.Sprintf("%s[%d]", typeNameAt(t.Type, depth+1), t.Nelems)
	}
	return t.TypeName()
}

func tagged(keyword, name string) string {
	if name == "" {
		return keyword + " {…}"
	}
	return keyword + " " + name
}
