// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// maxParts bounds the members, elements and types on the way of what is shown to a
// person. Types come from strangers: unions inside unions can make a few bytes mean
// very many fields.
const maxParts = 1 << 17

// errMismatch says that bytes and type do not fit, or that not all bits have a name.
var errMismatch = errors.New("bytes do not fit the type")

// Decode shows data as a value of typ, which may have fewer bytes (see the package
// comment): a [json.Number], string, bool, []any or [Struct]. It never fails: without a
// type (nil), or where the two do not fit, the answer is hex digits.
func Decode(typ btf.Type, data []byte, order binary.ByteOrder) any {
	r := reader{order: order, parts: maxParts}
	v, err := r.start(typ, data)
	if err != nil {
		return hexText(data)
	}
	return v
}

// Whole is like [Decode], and tells all of data. It makes no more than so many parts
// of it: members, elements, and types on the way; else the answer is hex digits.
func Whole(typ btf.Type, data []byte, order binary.ByteOrder, parts int) any {
	r := reader{order: order, parts: parts, whole: true}
	if size, err := btf.Sizeof(typ); err == nil && size == len(data) {
		if v, err := r.value(typ, data, hint{}, 0); err == nil {
			return v
		}
	}
	return hexText(data)
}

func hexText(data []byte) string { return "0x" + hex.EncodeToString(data) }

// reader reads one value.
type reader struct {
	order binary.ByteOrder
	// parts is how many more may be made.
	parts int
	// whole says that no bit may be lost.
	whole bool
}

// hint is what the names around a value tell beyond its C type.
type hint struct {
	// network says that it is in network byte order, address that its field,
	// variable or typedef is called like an IPv4 address, anonymous that it is a
	// member without a name.
	network, address, anonymous bool
}

// through adds what a typedef tells.
func (h hint) through(typedef string) hint {
	h.network = h.network || isNetworkOrder(typedef)
	h.address = h.address || namesAddress(typedef)
	return h
}

// start reads the beginning of data as a type that may be a section or a variable.
func (r *reader) start(typ btf.Type, data []byte) (any, error) {
	switch t := typ.(type) {
	case nil:
		return nil, errMismatch
	case *btf.Datasec:
		return r.section(t, data)
	case *btf.Var:
		return r.part(t.Type, data, 0, hint{address: namesAddress(t.Name)}, 0)
	}
	return r.part(typ, data, 0, hint{}, 0)
}

// section reads a data section (.bss, .rodata, …) as a struct of variables.
func (r *reader) section(t *btf.Datasec, data []byte) (any, error) {
	var out Struct
	for _, v := range t.Vars {
		variable, ok := v.Type.(*btf.Var)
		if !ok {
			continue
		}
		if uint64(v.Offset)+uint64(v.Size) > uint64(len(data)) {
			return nil, errMismatch
		}
		value, err := r.start(variable, data[v.Offset:v.Offset+v.Size])
		if err != nil {
			return nil, err
		}
		out = append(out, Field{Name: variable.Name, Value: value})
	}
	return out, nil
}

// part reads the value of a type that begins at a byte of data.
func (r *reader) part(typ btf.Type, data []byte, at uint64, h hint, depth int) (any, error) {
	size, err := btf.Sizeof(typ)
	if err != nil || size < 0 || at+uint64(size) > uint64(len(data)) {
		return nil, errMismatch
	}
	return r.value(typ, data[at:at+uint64(size)], h, depth)
}

// value reads data, which has the size of typ.
func (r *reader) value(typ btf.Type, data []byte, h hint, depth int) (any, error) {
	if r.parts--; depth > maxDepth || r.parts < 0 {
		return nil, errMismatch
	}
	switch t := typ.(type) {
	case *btf.Typedef:
		return r.value(t.Type, data, h.through(t.Name), depth+1)
	case *btf.Const:
		return r.value(t.Type, data, h, depth+1)
	case *btf.Volatile:
		return r.value(t.Type, data, h, depth+1)
	case *btf.Restrict:
		return r.value(t.Type, data, h, depth+1)
	case *btf.TypeTag:
		return r.value(t.Type, data, h, depth+1)
	case *btf.Struct:
		if isAddress(t) && !h.anonymous {
			ip, _ := netip.AddrFromSlice(data)
			return ip.String(), nil
		}
		return r.record(t.Members, data, depth)
	case *btf.Union:
		return r.union(t, data, depth)
	case *btf.Array:
		return r.array(t, data, depth)
	}
	return r.scalar(typ, data, h)
}

// record reads members and, if nothing may be lost, looks for bits that none has.
func (r *reader) record(members []btf.Member, data []byte, depth int) (any, error) {
	out := make(Struct, 0, min(len(members), r.parts+1))
	var rest []byte
	if r.whole {
		rest = slices.Clone(data)
	}
	for _, m := range members {
		if r.parts--; r.parts < 0 {
			return nil, errMismatch
		}
		if padding(m) {
			continue
		}
		v, err := r.member(m, data, rest, depth)
		if err != nil {
			return nil, err
		}
		if inner, ok := v.(Struct); ok && m.Name == "" {
			out = append(out, inner...)
		} else {
			out = append(out, Field{Name: m.Name, Value: v})
		}
	}
	if !zero(rest) {
		return nil, errMismatch
	}
	return out, nil
}

// padding says whether m has no name and no members with one.
func padding(m btf.Member) bool {
	switch btf.UnderlyingType(m.Type).(type) {
	case *btf.Struct, *btf.Union:
		return m.Name == "" && m.BitfieldSize > 0
	}
	return m.Name == ""
}

// member reads one member out of its parent's bytes, and clears its bits in rest if no
// bit may be lost.
func (r *reader) member(m btf.Member, parent, rest []byte, depth int) (any, error) {
	if m.BitfieldSize > 0 {
		return r.bitField(m, parent, rest)
	}
	at, h := uint64(m.Offset.Bytes()), hint{address: namesAddress(m.Name), anonymous: m.Name == ""}
	if m.Offset%8 != 0 {
		return nil, errMismatch
	}
	v, err := r.part(m.Type, parent, at, h, depth+1)
	if err == nil && r.whole {
		size, _ := btf.Sizeof(m.Type) // part has looked
		clear(rest[at : at+uint64(size)])
	}
	return v, err
}

// union shows all members, or the first one that tells all of data.
func (r *reader) union(t *btf.Union, data []byte, depth int) (any, error) {
	if !r.whole {
		return r.record(t.Members, data, depth)
	}
	for i, m := range t.Members {
		size, err := btf.Sizeof(m.Type)
		if err == nil && size == len(data) && m.BitfieldSize == 0 && m.Offset == 0 && !padding(m) {
			return r.record(t.Members[i:i+1], data, depth)
		}
		if r.parts--; r.parts < 0 {
			break
		}
	}
	return nil, errMismatch
}

// array reads a list, or text when the elements are chars. The name of an array
// tells nothing of its elements: an IPv6 address may be four words.
func (r *reader) array(t *btf.Array, data []byte, depth int) (any, error) {
	if isChar(t.Type) {
		if s, ok := r.text(data); ok {
			return s, nil
		}
	}
	out := []any{}
	if t.Nelems == 0 || len(data) == 0 {
		return out, nil
	}
	for e := range slices.Chunk(data, len(data)/int(t.Nelems)) {
		v, err := r.value(t.Type, e, hint{}, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func zero(data []byte) bool { return len(bytes.Trim(data, "\x00")) == 0 }
