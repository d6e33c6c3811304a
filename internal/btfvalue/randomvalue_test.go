// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue_test

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/cilium/ebpf/btf"
)

// paint fills data, the bytes of a typ, with what is worth a test: any bytes, and
// in their places text, bools, values of enums.
func (g *generator) paint(typ btf.Type, data []byte, order binary.ByteOrder) {
	style := g.below(4)
	for i := range data {
		if style > 0 {
			data[i] = []byte{0, 0, 1, 0xff, 0x80, 'a', '\\', '"', 0x7f, 0x1b, 0xc3, 0xa9, g.byte()}[g.below(13)]
		}
	}
	g.paintParts(typ, data, order)
}

func (g *generator) paintParts(typ btf.Type, data []byte, order binary.ByteOrder) {
	switch t := btf.UnderlyingType(typ).(type) {
	case *btf.Struct:
		g.paintMembers(t.Members, data, order)
	case *btf.Union:
		if len(t.Members) > 0 {
			i := g.below(len(t.Members))
			g.paintMembers(t.Members[i:i+1], data, order)
		}
	case *btf.Array:
		if isChar(t.Type) && g.chance(70) {
			g.paintText(data)
			return
		}
		for e := range elements(t, data) {
			g.paintParts(t.Type, e, order)
		}
	case *btf.Int:
		if t.Encoding == btf.Bool && g.chance(80) {
			data[0] = byte(g.below(2))
		}
	case *btf.Enum:
		if len(t.Values) > 0 && g.chance(70) {
			var word [8]byte
			v := t.Values[g.below(len(t.Values))].Value
			if order.PutUint64(word[:], v); order == binary.ByteOrder(binary.BigEndian) {
				copy(data, word[8-len(data):])
			} else {
				copy(data, word[:])
			}
		}
	case *btf.Float:
		if special := []float64{math.Inf(1), math.Inf(-1), math.Copysign(0, -1), 1e-7, -1.5e30, 0.1}; g.chance(50) {
			f := special[g.below(len(special))]
			if t.Size == 4 {
				order.PutUint32(data, math.Float32bits(float32(f)))
			} else {
				order.PutUint64(data, math.Float64bits(f))
			}
		}
	}
}

func (g *generator) paintMembers(members []btf.Member, data []byte, order binary.ByteOrder) {
	for _, m := range members {
		if m.BitfieldSize == 0 {
			g.paintParts(m.Type, inside(m, data), order)
		}
	}
}

// paintText writes a C string, or what is nearly one.
func (g *generator) paintText(data []byte) {
	clear(data)
	for i, rest := 0, g.below(len(data)+1); i < rest; {
		pieces := []string{"a", "b", " ", `\`, `"`, "<&>", "é", "世", `\x41`, "0x", "[1]", "\ufffd", "\x00", "\xff", "\n", "\x7f"}
		most := len(pieces) - 4
		if g.chance(10) {
			most = len(pieces)
		}
		i += copy(data[i:], pieces[g.below(most)])
	}
}

// inside are the bytes of a member that is no bit field.
func inside(m btf.Member, data []byte) []byte {
	return data[m.Offset.Bytes():][:sizeOf(m.Type)]
}

func elements(t *btf.Array, data []byte) func(func([]byte) bool) {
	size := sizeOf(t.Type)
	return func(yield func([]byte) bool) {
		for i := range t.Nelems {
			if !yield(data[i*size : (i+1)*size]) {
				return
			}
		}
	}
}

func isChar(t btf.Type) bool {
	i, ok := btf.As[*btf.Int](t)
	return ok && i.Name == "char"
}

// survey is what the test itself knows of a value.
type survey struct {
	order binary.ByteOrder
	// named are the bits of some member, first those that the first member of each
	// union has which is as large as the union. told are the bits that a dump tells:
	// not those behind the NUL of a text, and of what is not a number, unless another
	// member of a union does.
	named, first, told []byte
	// pointers says that there are some, partial that a union has no member as large
	// as it is.
	pointers, partial bool
}

func surveyOf(typ btf.Type, data []byte, order binary.ByteOrder) survey {
	s := survey{order: order, named: make([]byte, len(data)), first: make([]byte, len(data)), told: make([]byte, len(data))}
	s.walk(typ, data, 0, true)
	return s
}

// walk surveys the value at offset at of the whole; first says that all unions on
// the way were gone through by their first member of full size.
func (s *survey) walk(typ btf.Type, data []byte, at uint32, first bool) {
	switch t := btf.UnderlyingType(typ).(type) {
	case *btf.Struct:
		for _, m := range t.Members {
			s.member(m, data, at, first)
		}
		return
	case *btf.Union:
		full := first
		for _, m := range t.Members {
			whole := m.BitfieldSize == 0 && sizeOf(m.Type) == t.Size
			s.member(m, data, at, full && whole)
			full = full && !whole
		}
		s.partial = s.partial || full
		return
	case *btf.Array:
		if isChar(t.Type) {
			s.fill(at, data, first, textLength(data))
			return
		}
		i := at
		for e := range elements(t, data) {
			s.walk(t.Type, e, i, first)
			i += uint32(len(e))
		}
		return
	case *btf.Pointer:
		s.pointers = true
	case *btf.Float:
		if t.Size == 4 && math.IsNaN(float64(math.Float32frombits(s.order.Uint32(data)))) || t.Size == 8 && math.IsNaN(math.Float64frombits(s.order.Uint64(data))) {
			s.fill(at, data, first, 0)
			return
		}
	}
	s.fill(at, data, first, len(data))
}

// fill notes the bytes of a value, of which a dump tells so many.
func (s *survey) fill(at uint32, data []byte, first bool, told int) {
	for i := range data {
		s.named[at:][i] = 0xff
		if first {
			s.first[at:][i] = 0xff
		}
		if i < told {
			s.told[at:][i] = 0xff
		}
	}
}

// textLength is how many bytes of an array of char a dump tells at least.
func textLength(data []byte) int {
	if nul := bytes.IndexByte(data, 0); nul >= 0 {
		return nul + 1
	}
	return len(data)
}

func (s *survey) member(m btf.Member, data []byte, at uint32, first bool) {
	if m.BitfieldSize == 0 {
		s.walk(m.Type, inside(m, data), at+m.Offset.Bytes(), first)
		return
	}
	for bit := at*8 + uint32(m.Offset); bit < at*8+uint32(m.Offset+m.BitfieldSize); bit++ {
		mask := byte(1) << (bit % 8)
		if s.order == binary.ByteOrder(binary.BigEndian) {
			mask = 0x80 >> (bit % 8)
		}
		s.named[bit/8] |= mask
		s.told[bit/8] |= mask
		if first {
			s.first[bit/8] |= mask
		}
	}
}

// tells says whether the members of first tell all of data.
func (s *survey) tells(data []byte) bool {
	for i, b := range data {
		if b&^s.first[i] != 0 {
			return false
		}
	}
	return !s.partial
}
