// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"net/netip"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/cilium/ebpf/btf"
)

// scalar reads a value without parts.
func (r *reader) scalar(typ btf.Type, data []byte, h hint) (any, error) {
	if len(data) == 0 {
		return nil, errMismatch
	}
	v, bits := unsigned(data, r.order), uint(len(data))*8
	switch t := typ.(type) {
	case *btf.Int:
		if h.network {
			if ip, ok := netip.AddrFromSlice(data); ok && ip.Is4() && h.address && !r.whole {
				return ip.String(), nil
			}
			v.SetBytes(data)
		}
		if n, ok := integer(t, v, bits); ok {
			return n, nil
		}
	case *btf.Enum:
		return enumerator(t, signed(v, bits, t.Signed)), nil
	case *btf.Float:
		return r.float(v, data), nil
	case *btf.Pointer:
		return pointerText(v), nil
	}
	return hexText(data), nil
}

// integer is a number or, for a bool, true or false; !ok for a bool that is neither.
func integer(t *btf.Int, v *big.Int, bits uint) (n any, ok bool) {
	if t.Encoding != btf.Bool {
		return number(signed(v, bits, t.Encoding == btf.Signed)), true
	}
	return v.Sign() != 0, v.BitLen() <= 1
}

// enumerator is the name of an enum's value, or the number when it has none.
func enumerator(t *btf.Enum, v *big.Int) any {
	for _, e := range t.Values {
		if e.Name != "" && enumValue(t, e).Cmp(v) == 0 {
			return e.Name
		}
	}
	return number(v)
}

// bitField is [reader.member] for one of fewer bits than its type.
func (r *reader) bitField(m btf.Member, parent, rest []byte) (any, error) {
	f, ok := bitFieldOf(m, len(parent), r.order)
	if !ok {
		return nil, errMismatch
	}
	v := f.read(parent)
	if r.whole {
		for i, mask := range f.maskBytes() {
			rest[f.from+uint64(i)] &^= mask
		}
	}
	switch t := btf.UnderlyingType(m.Type).(type) {
	case *btf.Enum:
		return enumerator(t, signed(v, f.bits, t.Signed)), nil
	case *btf.Int:
		if n, ok := integer(t, v, f.bits); ok {
			return n, nil
		}
	}
	return nil, errMismatch
}

// float reads a float or double; others are their bytes.
func (r *reader) float(v *big.Int, data []byte) any {
	if len(data) != 4 && len(data) != 8 {
		return hexText(data)
	}
	f := floatOf(v.Uint64(), len(data))
	if r.whole && floatBits(f, len(data)) != v.Uint64() {
		return hexText(data)
	}
	return formatFloat(f, len(data)*8)
}

// formatFloat is a JSON number where there is one for f, of so many bits.
func formatFloat(f float64, bits int) any {
	s := strconv.FormatFloat(f, 'g', -1, bits)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return s
	}
	return json.Number(s)
}

func number(v *big.Int) json.Number { return json.Number(v.String()) }

func pointerText(v *big.Int) string { return "0x" + v.Text(16) }

// text is a C string that is what its array is meant to hold: printable, with a NUL
// that ends it.
func (r *reader) text(data []byte) (string, bool) {
	s, rest, terminated := bytes.Cut(data, []byte{0})
	if !terminated || !utf8.Valid(s) || r.whole && !zero(rest) {
		return "", false
	}
	for _, c := range string(s) {
		if !unicode.IsPrint(c) {
			return "", false
		}
	}
	return string(s), true
}
