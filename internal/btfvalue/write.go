// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// ErrNotSettable: variables of this type cannot be given a value at all.
var ErrNotSettable = errors.New("cannot be set")

// Bounds of one value. Types come from strangers.
const (
	// maxText bounds the text of one value in bytes: a shell passes no more in one
	// argument on Linux (MAX_ARG_STRLEN, linux/binfmts.h).
	maxText = 128 << 10
	// maxFields bounds how many members are looked at in search of one: anonymous
	// structs in anonymous structs can make a few types mean very many.
	maxFields = 1 << 16
)

// Encode writes text as a value of type typ over current, the bytes the variable
// has, and returns the result as new bytes of the same length. On error the message
// says where in the value (".ports[2]: …"), what was given, the C type and its range;
// errors for types without any value wrap [ErrNotSettable].
func Encode(typ btf.Type, text string, current []byte, order binary.ByteOrder) ([]byte, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("the value has %d bytes, at most %d are accepted", len(text), maxText)
	}
	if typ == nil {
		return nil, fmt.Errorf("%w: it has no type", ErrNotSettable)
	}
	size, err := btf.Sizeof(typ)
	if err != nil || size < 0 || size != len(current) {
		return nil, fmt.Errorf("%w: its type %s does not have the %d bytes it takes", ErrNotSettable, CType(typ), len(current))
	}
	given, err := parse(typ, text, len(current))
	if err != nil {
		return nil, err
	}
	out := slices.Clone(current)
	if err := encode(place{typ: typ, order: order, data: out, was: current, done: make([]byte, len(out))}, given, 0); err != nil {
		return nil, err
	}
	return out, nil
}

// parse reads the text of a value of so many bytes.
func parse(typ btf.Type, text string, size int) (value, error) {
	if isText(typ) && len(text) >= size { // longer than a text may be, but not than a list
		if list, err := parseJSON(text); err == nil && list.kind == kindList {
			return list, nil
		}
	}
	if !hasParts(typ) || rawBytes(text, size) != nil {
		return value{kind: kindText, text: text}, nil
	}
	v, err := parseJSON(text)
	if err != nil {
		return v, fmt.Errorf("a %s is written as JSON, such as %s: %w", CType(typ), example(typ), err)
	}
	return v, nil
}

// rawBytes reads a value that is written as its bytes, nil if text is none.
func rawBytes(text string, size int) []byte {
	digits, ok := strings.CutPrefix(text, "0x")
	data, err := hex.DecodeString(digits)
	if !ok || err != nil || len(data) != size {
		return nil
	}
	return data
}

// place is where a value goes.
type place struct {
	typ   btf.Type
	order binary.ByteOrder
	// data are its bytes, was what they were, and done the bits that have been written.
	data, was, done []byte
	// declared is typ with its typedef, for messages.
	declared btf.Type
	// path leads there from the variable: "", ".ports[2]".
	path string
	// wire says that a typedef on the way marks network byte order.
	wire bool
}

// fail is an error about this place.
func (p place) fail(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if p.path == "" {
		return err
	}
	return fmt.Errorf("%s: %w", p.path, err)
}

// errOther says that bits have been written before, with another value.
var errOther = errors.New("it shares its bytes with another field that says something else")

// put writes data at the beginning of the place.
func (p place) put(data []byte) error {
	return p.putBits(data, bytes.Repeat([]byte{0xff}, len(data)))
}

// putBits writes those bits of data that mask has.
func (p place) putBits(data, mask []byte) error {
	for i := range mask {
		if (p.data[i]^data[i])&p.done[i]&mask[i] != 0 {
			return p.fail("%w", errOther)
		}
		p.data[i] = p.data[i]&^mask[i] | data[i]&mask[i]
		p.done[i] |= mask[i]
	}
	return nil
}

// part is the place of a typ in the bytes from at to to of this one.
func (p place) part(typ btf.Type, at, to uint64) place {
	return place{typ: typ, order: p.order, data: p.data[at:to], was: p.was[at:to], done: p.done[at:to], path: p.path}
}

// encode writes v at p.
func encode(p place, v value, depth int) error {
	if depth > maxDepth {
		return p.fail("%w: its type is nested deeper than %d", ErrNotSettable, maxDepth)
	}
	p = strip(p)
	if raw := rawBytes(v.text, len(p.data)); raw != nil && !readsHex(p.typ) {
		return p.put(raw)
	}
	switch t := p.typ.(type) {
	case *btf.Struct:
		if isAddress(t) && v.kind == kindText {
			return encodeAddress(p, v.text)
		}
		return encodeRecord(p, t.Members, nil, v, depth)
	case *btf.Union:
		return encodeRecord(p, t.Members, t, v, depth)
	case *btf.Array:
		if isChar(t.Type) && v.kind == kindText {
			return encodeText(p, v.text)
		}
		return encodeList(p, t, v, depth)
	}
	text, err := v.scalar()
	if err != nil {
		return p.fail("a %s takes one value, and %w is given", p.ctype(), err)
	}
	return encodeScalar(p, text)
}

// ctype is the C spelling of the type of this place, without qualifiers.
func (p place) ctype() string {
	if p.declared != nil {
		return CType(p.declared)
	}
	return CType(p.typ)
}

// strip looks through typedefs and qualifiers.
func strip(p place) place {
	for range maxDepth {
		if _, is := p.typ.(*btf.Typedef); is && p.declared == nil {
			p.declared = p.typ
		}
		switch t := p.typ.(type) {
		case *btf.Typedef:
			p.wire = p.wire || isNetworkOrder(t.Name)
			p.typ = t.Type
		case *btf.Const:
			p.typ = t.Type
		case *btf.Volatile:
			p.typ = t.Type
		case *btf.Restrict:
			p.typ = t.Type
		case *btf.TypeTag:
			p.typ = t.Type
		case *btf.Var:
			p.typ = t.Type
		default:
			return p
		}
	}
	return p
}

// isText says whether typ is an array of char.
func isText(typ btf.Type) bool {
	t, ok := btf.As[*btf.Array](typ)
	return ok && isChar(t.Type)
}

// readsHex says whether hexadecimal digits are a number of typ, which has neither
// typedefs nor qualifiers, rather than its bytes.
func readsHex(typ btf.Type) bool {
	switch t := typ.(type) {
	case *btf.Int:
		return t.Encoding != btf.Bool
	case *btf.Enum, *btf.Pointer:
		return true
	}
	return false
}

// hasParts says whether a value of typ is written as JSON.
func hasParts(typ btf.Type) bool {
	switch t := strip(place{typ: typ}).typ.(type) {
	case *btf.Struct:
		return !isAddress(t)
	case *btf.Union:
		return true
	case *btf.Array:
		return !isChar(t.Type)
	}
	return false
}

// example is what JSON for typ looks like.
func example(typ btf.Type) string {
	switch t := strip(place{typ: typ}).typ.(type) {
	case *btf.Struct:
		return exampleField(t.Members)
	case *btf.Union:
		return exampleField(t.Members)
	}
	return "[1, 2]"
}

func exampleField(members []btf.Member) string {
	if names := fieldNames(members); len(names) > 0 {
		return fmt.Sprintf("{%q: …}", names[0])
	}
	return "{}"
}
