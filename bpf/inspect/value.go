// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"unicode"
	"unicode/utf8"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// Bounds of the defaults in a Description, which is a label and should be read
// by people.
const (
	// maxDefault bounds the bytes of a variable whose default is listed.
	maxDefault = 256
	// maxDefaultText bounds the JSON of one default, and maxDefaultTexts that of
	// all of an object.
	maxDefaultText  = 2 << 10
	maxDefaultTexts = 64 << 10
	// maxValueParts bounds the members and elements of one default, which may
	// have no size: types come from strangers.
	maxValueParts = 1024
)

// errValue says that bytes and type do not fit, or that what is behind the type
// does not tell all of the bytes; the default becomes hex.
var errValue = errors.New("bytes do not fit the type")

// defaultValue is the JSON of what a variable holds in the object, nil when there is
// nothing to say (see [schemas.Variable.Default]).
func defaultValue(v *ebpf.VariableSpec, order binary.ByteOrder, texts *budget) json.RawMessage {
	if len(v.Value) > maxDefault || zero(v.Value) {
		return nil
	}
	text, err := json.Marshal("0x" + hex.EncodeToString(v.Value))
	if v.Type != nil {
		d := valueReader{order: order, parts: maxValueParts}
		if typed, errTyped := d.whole(v.Type.Type, v.Value); errTyped == nil {
			text, err = typed, nil
		}
	}
	if err != nil || texts.spend(int64(len(text))) != nil {
		return nil
	}
	return text
}

func zero(data []byte) bool { return len(bytes.Trim(data, "\x00")) == 0 }

// valueReader turns bytes into JSON as their C type says. Whatever it returns
// tells all of the bytes; `--set` takes it back.
type valueReader struct {
	order binary.ByteOrder
	// parts is how many more may be made.
	parts int
}

// whole is the JSON of a variable.
func (d *valueReader) whole(typ btf.Type, data []byte) (json.RawMessage, error) {
	v, err := d.value(typ, data, false, 0)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("a value: %w", err)
	}
	if len(text) > maxDefaultText {
		return nil, errValue
	}
	return text, nil
}

// value reads data, which has exactly the size of typ. wire says that a typedef
// on the way marks network byte order.
func (d *valueReader) value(typ btf.Type, data []byte, wire bool, depth int) (any, error) {
	d.parts--
	size, err := btf.Sizeof(typ)
	if err != nil || size != len(data) || depth > maxTypeDepth || d.parts < 0 {
		return nil, errValue
	}
	switch t := typ.(type) {
	case *btf.Typedef:
		return d.value(t.Type, data, wire || t.Name == "__be16" || t.Name == "__be32" || t.Name == "__be64", depth+1)
	case *btf.Const:
		return d.value(t.Type, data, wire, depth+1)
	case *btf.Volatile:
		return d.value(t.Type, data, wire, depth+1)
	case *btf.Restrict:
		return d.value(t.Type, data, wire, depth+1)
	case *btf.TypeTag:
		return d.value(t.Type, data, wire, depth+1)
	case *btf.Struct:
		if ip, ok := address(t.Name, data); ok {
			return ip, nil
		}
		return d.structure(t, data, depth)
	case *btf.Union:
		return d.union(t, data, depth)
	case *btf.Array:
		return d.array(t, data, depth)
	}
	return scalar(typ, data, d.order, wire)
}

// structure reads a struct; what no member covers must be 0, or it would be lost.
func (d *valueReader) structure(t *btf.Struct, data []byte, depth int) (any, error) {
	var out record
	rest := slices.Clone(data)
	for _, m := range t.Members {
		if d.parts--; d.parts < 0 {
			return nil, errValue
		}
		if m.BitfieldSize > 0 {
			if padding(m) {
				continue
			}
			v, err := bitfield(m, data, rest, d.order)
			if err != nil {
				return nil, err
			}
			out = out.with(m.Name, v)
			continue
		}
		size, err := btf.Sizeof(m.Type)
		at := uint64(m.Offset.Bytes())
		if err != nil || size < 0 || m.Offset%8 != 0 || at+uint64(size) > uint64(len(data)) {
			return nil, errValue
		}
		v, err := d.member(m, data[at:at+uint64(size)], depth)
		if err != nil {
			return nil, err
		}
		if padding(m) {
			continue
		}
		clear(rest[at : at+uint64(size)])
		out = out.with(m.Name, v)
	}
	if !zero(rest) {
		return nil, errValue
	}
	return out, nil
}

// union reads a union by its first member that covers it.
func (d *valueReader) union(t *btf.Union, data []byte, depth int) (any, error) {
	for _, m := range t.Members {
		if d.parts--; d.parts < 0 {
			return nil, errValue
		}
		size, err := btf.Sizeof(m.Type)
		if err != nil || size != len(data) || m.BitfieldSize > 0 || m.Offset != 0 || padding(m) {
			continue
		}
		v, err := d.member(m, data, depth)
		if err != nil {
			return nil, err
		}
		return record(nil).with(m.Name, v), nil
	}
	return nil, errValue
}

// member reads a member that is no bit field. Of an anonymous record the members are
// wanted, even if it is an address.
func (d *valueReader) member(m btf.Member, data []byte, depth int) (any, error) {
	if t, ok := btf.As[*btf.Struct](m.Type); ok && m.Name == "" {
		return d.structure(t, data, depth+1)
	}
	return d.value(m.Type, data, false, depth+1)
}

// padding says whether a member has no name and no members with one.
func padding(m btf.Member) bool {
	switch btf.UnderlyingType(m.Type).(type) {
	case *btf.Struct, *btf.Union:
		return false
	}
	return m.Name == ""
}

// array reads a list, or text when the elements are chars.
func (d *valueReader) array(t *btf.Array, data []byte, depth int) (any, error) {
	if isChar(t.Type) {
		if s, ok := text(data); ok {
			return s, nil
		}
	}
	out := []any{}
	if t.Nelems == 0 || len(data) == 0 {
		return out, nil
	}
	size := len(data) / int(t.Nelems)
	for e := range slices.Chunk(data, max(size, 1)) {
		v, err := d.value(t.Type, e, false, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// isChar says whether typ is C's char. Compilers do not set the encoding bit, so
// the name has to tell.
func isChar(typ btf.Type) bool {
	i, ok := btf.As[*btf.Int](typ)
	return ok && i.Size == 1 && (i.Name == "char" || i.Encoding == btf.Char)
}

// text is a C string, if nothing is lost by taking data for one: it can be
// printed, ends in a NUL, and nothing is behind.
func text(data []byte) (string, bool) {
	s, rest, terminated := bytes.Cut(data, []byte{0})
	if !terminated || !zero(rest) || !utf8.Valid(s) {
		return "", false
	}
	for _, r := range string(s) {
		if !unicode.IsPrint(r) {
			return "", false
		}
	}
	return string(s), true
}

// record is a JSON object whose keys keep the order of the members.
type record []field

type field struct {
	name  string
	value any
}

// with adds a member; those of a member without name are the parent's.
func (r record) with(name string, value any) record {
	if inner, ok := value.(record); ok && name == "" {
		return append(r, inner...)
	}
	return append(r, field{name, value})
}

// MarshalJSON writes an object.
func (r record) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.name)
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", f.name, err)
		}
		value, err := json.Marshal(f.value)
		if err != nil {
			return nil, fmt.Errorf("member %q: %w", f.name, err)
		}
		b.Write(append(append(name, ':'), value...))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
