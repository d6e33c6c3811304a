// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package mapdump

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"unicode"
	"unicode/utf8"

	"github.com/cilium/ebpf/btf"
)

// scalar decodes a type without parts.
func scalar(typ btf.Type, data []byte, h hint) (any, error) {
	size, err := btf.Sizeof(typ)
	if err != nil || size <= 0 || size > len(data) {
		return nil, errMismatch
	}
	data = data[:size]
	switch t := typ.(type) {
	case *btf.Int:
		return integer(t, data, h), nil
	case *btf.Enum:
		return enumerator(t, data), nil
	case *btf.Float:
		return float(data), nil
	case *btf.Pointer:
		return fmt.Sprintf("0x%x", unsigned(data)), nil
	}
	return hexText(data), nil
}

// integer decodes an int, a bool, a char outside an array, or a network-order
// typedef of one.
func integer(t *btf.Int, data []byte, h hint) any {
	v := unsigned(data)
	if h.network {
		if ip, ok := netip.AddrFromSlice(data); ok && h.address && ip.Is4() {
			return ip.String()
		}
		v.SetBytes(data)
	}
	if t.Encoding == btf.Bool {
		if v.BitLen() > 1 {
			return hexText(data)
		}
		return v.Sign() != 0
	}
	return number(signed(v, uint(len(data))*8, t.Encoding == btf.Signed))
}

// enumerator is the name of an enum's value, or the number when it has none.
func enumerator(t *btf.Enum, data []byte) any {
	v := signed(unsigned(data), uint(len(data))*8, t.Signed)
	return enumName(t, v)
}

func enumName(t *btf.Enum, v *big.Int) any {
	for _, e := range t.Values {
		want := new(big.Int).SetUint64(e.Value)
		if t.Signed {
			want.SetInt64(int64(e.Value))
		}
		if want.Cmp(v) == 0 && e.Name != "" {
			return e.Name
		}
	}
	return number(v)
}

// bitfield decodes a member of fewer bits than its type.
func bitfield(m btf.Member, parent []byte) (any, error) {
	from, bits := uint(m.Offset), uint(m.BitfieldSize)
	to := from + bits
	if uint64(to) > uint64(len(parent))*8 || bits > 128 {
		return nil, errMismatch
	}
	window := parent[from/8 : (to+7)/8]
	v := unsigned(window)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 { // big-endian: counted from the top
		v.Rsh(v, uint(len(window))*8-(from%8)-bits)
	} else {
		v.Rsh(v, from%8)
	}
	mask := new(big.Int).Lsh(big.NewInt(1), bits)
	v.And(v, mask.Sub(mask, big.NewInt(1)))
	switch t := btf.UnderlyingType(m.Type).(type) {
	case *btf.Enum:
		return enumName(t, signed(v, bits, t.Signed)), nil
	case *btf.Int:
		if t.Encoding != btf.Bool {
			return number(signed(v, bits, t.Encoding == btf.Signed)), nil
		}
		if v.BitLen() <= 1 {
			return v.Sign() != 0, nil
		}
	}
	return nil, errMismatch
}

// unsigned reads data in this machine's byte order.
func unsigned(data []byte) *big.Int {
	data = slices.Clone(data)
	if binary.NativeEndian.Uint16([]byte{0, 1}) != 1 {
		slices.Reverse(data)
	}
	return new(big.Int).SetBytes(data)
}

// signed reinterprets v, bits wide, as two's complement when isSigned.
func signed(v *big.Int, bits uint, isSigned bool) *big.Int {
	if isSigned && bits > 0 && v.Bit(int(bits)-1) == 1 {
		return v.Sub(v, new(big.Int).Lsh(big.NewInt(1), bits))
	}
	return v
}

func number(v *big.Int) json.Number { return json.Number(v.String()) }

func float(data []byte) any {
	switch len(data) {
	case 4:
		return formatFloat(float64(math.Float32frombits(binary.NativeEndian.Uint32(data))), 32)
	case 8:
		return formatFloat(math.Float64frombits(binary.NativeEndian.Uint64(data)), 64)
	}
	return hexText(data)
}

// formatFloat is a JSON number where there is one for f.
func formatFloat(f float64, bits int) any {
	s := strconv.FormatFloat(f, 'g', -1, bits)
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return s
	}
	return json.Number(s)
}

// isChar says whether typ is C's char, through typedefs and qualifiers. Compilers
// do not set the encoding bit, so the name has to tell.
func isChar(typ btf.Type) bool {
	i, ok := btf.As[*btf.Int](typ)
	return ok && i.Size == 1 && (i.Name == "char" || i.Encoding == btf.Char)
}

// text is a C string that is what its array is meant to hold: printable, with a NUL
// that ends it.
func text(data []byte) (string, bool) {
	s, _, terminated := bytes.Cut(data, []byte{0})
	if !terminated || !utf8.Valid(s) {
		return "", false
	}
	for _, r := range string(s) {
		if !unicode.IsPrint(r) {
			return "", false
		}
	}
	return string(s), true
}
