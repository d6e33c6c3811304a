// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package mapdump

import (
	"encoding/hex"
	"errors"

	"github.com/cilium/ebpf/btf"
)

// Bounds of one decoded value. Types come from strangers: unions inside unions
// can make a few bytes mean very many fields.
const (
	maxDepth  = 32
	maxFields = 1 << 16
)

// errMismatch says that bytes and type do not fit; the value becomes hex.
var errMismatch = errors.New("bytes do not fit the type")

// Decode writes data, in this machine's byte order, as its type says (see the
// package comment). It never fails: without a type (nil), or where the two do
// not fit, the answer is hex digits.
func Decode(typ btf.Type, data []byte) any {
	if typ == nil {
		return hexText(data)
	}
	d := decoder{fields: maxFields}
	v, err := d.value(typ, data, hint{}, 0)
	if err != nil {
		return hexText(data)
	}
	return v
}

func hexText(data []byte) string { return "0x" + hex.EncodeToString(data) }

// decoder decodes one value.
type decoder struct {
	// fields is how many more values may be made.
	fields int
}

// hint is what the names around a value tell beyond its C type.
type hint struct {
	// network says that it is in network byte order, address that its field,
	// variable or typedef is called like an IPv4 address.
	network, address bool
	// anonymous says that it is a member without a name.
	anonymous bool
}

// named is the hint of a field or variable.
func named(field string) hint { return hint{address: namesAddress(field)} }

// through adds what a typedef tells.
func (h hint) through(typedef string) hint {
	return hint{network: h.network || isNetworkOrder(typedef), address: h.address || namesAddress(typedef), anonymous: h.anonymous}
}

// value decodes the start of data as typ.
func (d *decoder) value(typ btf.Type, data []byte, h hint, depth int) (any, error) {
	d.fields--
	if depth > maxDepth || d.fields < 0 {
		return nil, errMismatch
	}
	switch t := typ.(type) {
	case *btf.Typedef:
		return d.value(t.Type, data, h.through(t.Name), depth+1)
	case *btf.Const:
		return d.value(t.Type, data, h, depth+1)
	case *btf.Volatile:
		return d.value(t.Type, data, h, depth+1)
	case *btf.Restrict:
		return d.value(t.Type, data, h, depth+1)
	case *btf.TypeTag:
		return d.value(t.Type, data, h, depth+1)
	case *btf.Var:
		return d.value(t.Type, data, named(t.Name), depth+1)
	case *btf.Struct:
		return d.record(t.Name, t.Size, t.Members, data, h.anonymous, depth)
	case *btf.Union:
		return d.record(t.Name, t.Size, t.Members, data, h.anonymous, depth)
	case *btf.Datasec:
		return d.section(t, data, depth)
	case *btf.Array:
		return d.array(t, data, depth)
	}
	return scalar(typ, data, h)
}

// record decodes a struct or union. Of an anonymous one the members are wanted, even
// if it is an address.
func (d *decoder) record(typeName string, size uint32, members []btf.Member, data []byte, anonymous bool, depth int) (any, error) {
	data, err := first(data, size)
	if err != nil {
		return nil, err
	}
	if ip, ok := address(typeName, data); ok && !anonymous {
		return ip, nil
	}
	out := make(Struct, 0, min(len(members), d.fields+1))
	for _, m := range members {
		v, err := d.member(m, data, depth)
		if err != nil {
			return nil, err
		}
		if m.Name == "" {
			inner, _ := v.(Struct) // anything else without a name is padding
			out = append(out, inner...)
			continue
		}
		out = append(out, Field{Name: m.Name, Value: v})
	}
	return out, nil
}

// member decodes one member out of its parent's bytes.
func (d *decoder) member(m btf.Member, parent []byte, depth int) (any, error) {
	if m.BitfieldSize > 0 {
		return bitfield(m, parent)
	}
	at := m.Offset.Bytes()
	if m.Offset%8 != 0 || uint64(at) > uint64(len(parent)) {
		return nil, errMismatch
	}
	h := named(m.Name)
	h.anonymous = m.Name == ""
	return d.value(m.Type, parent[at:], h, depth+1)
}

// section decodes a data section (.bss, .rodata, …) as a struct of variables.
func (d *decoder) section(t *btf.Datasec, data []byte, depth int) (any, error) {
	var out Struct
	for _, v := range t.Vars {
		variable, ok := v.Type.(*btf.Var)
		if !ok {
			continue
		}
		if uint64(v.Offset)+uint64(v.Size) > uint64(len(data)) {
			return nil, errMismatch
		}
		value, err := d.value(variable, data[v.Offset:v.Offset+v.Size], hint{}, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, Field{Name: variable.Name, Value: value})
	}
	return out, nil
}

// array decodes a list, or text when the elements are chars. The name of an array
// tells nothing of its elements: an IPv6 address may be four words.
func (d *decoder) array(t *btf.Array, data []byte, depth int) (any, error) {
	size, err := btf.Sizeof(t.Type)
	if err != nil || size < 0 || uint64(size)*uint64(t.Nelems) > uint64(len(data)) {
		return nil, errMismatch
	}
	if isChar(t.Type) {
		if s, ok := text(data[:t.Nelems]); ok {
			return s, nil
		}
	}
	out := []any{}
	if size == 0 {
		return out, nil
	}
	for i := range int(t.Nelems) {
		v, err := d.value(t.Type, data[i*size:(i+1)*size], hint{}, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// first is the first size bytes of data.
func first(data []byte, size uint32) ([]byte, error) {
	if uint64(size) > uint64(len(data)) {
		return nil, errMismatch
	}
	return data[:size], nil
}
