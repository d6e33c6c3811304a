// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"strconv"

	"github.com/cilium/ebpf/btf"
)

// scalar reads a value without parts.
func scalar(typ btf.Type, data []byte, order binary.ByteOrder, wire bool) (any, error) {
	v := unsigned(data, order)
	switch t := typ.(type) {
	case *btf.Int:
		if wire {
			v.SetBytes(data)
		}
		if t.Encoding == btf.Bool && v.BitLen() > 1 {
			return hexText(data), nil
		}
		return integer(t, v, uint(len(data))*8)
	case *btf.Enum:
		return enumerator(t, v, uint(len(data))*8), nil
	case *btf.Float:
		return float(v, data), nil
	case *btf.Pointer:
		return "0x" + v.Text(16), nil
	}
	return nil, errValue
}

// integer is a number or, for a bool, true or false.
func integer(t *btf.Int, v *big.Int, bits uint) (any, error) {
	if t.Encoding != btf.Bool {
		return number(signed(v, bits, t.Encoding == btf.Signed)), nil
	}
	if v.BitLen() > 1 {
		return nil, errValue
	}
	return v.Sign() != 0, nil
}

// enumerator is the name of an enum's value, or the number when it has none.
func enumerator(t *btf.Enum, v *big.Int, bits uint) any {
	v = signed(v, bits, t.Signed)
	for _, e := range t.Values {
		value := new(big.Int).SetUint64(e.Value)
		if t.Signed {
			value.SetInt64(int64(e.Value))
		}
		if e.Name != "" && value.Cmp(v) == 0 {
			return e.Name
		}
	}
	return number(v)
}

// float is a number, or the text for what JSON has no number for.
func float(v *big.Int, data []byte) any {
	var (
		f    float64
		bits = len(data) * 8
	)
	switch len(data) {
	case 4:
		f = float64(math.Float32frombits(uint32(v.Uint64())))
	case 8:
		f = math.Float64frombits(v.Uint64())
	default:
		return hexText(data)
	}
	text := strconv.FormatFloat(f, 'g', -1, bits)
	switch {
	case math.IsNaN(f) && v.Uint64() != 0x7fc0_0000 && v.Uint64() != 0x7ff8_0000_0000_0000: // not what NAN is in C
		return hexText(data)
	case math.IsNaN(f) || math.IsInf(f, 0):
		return text
	}
	return json.Number(text)
}

// bitfield reads a member of fewer bits than its type, and clears the bits in rest.
func bitfield(m btf.Member, data, rest []byte, order binary.ByteOrder) (any, error) {
	from, bits := uint(m.Offset), uint(m.BitfieldSize)
	to := uint64(from) + uint64(bits)
	if to > uint64(len(data))*8 || bits > 128 {
		return nil, errValue
	}
	first, last := from/8, (to+7)/8
	shift := from % 8
	if order == binary.ByteOrder(binary.BigEndian) { // counted from the top
		shift = uint(last)*8 - uint(to)
	}
	mask := new(big.Int).Lsh(big.NewInt(1), bits)
	mask.Sub(mask, big.NewInt(1))
	v := unsigned(data[first:last], order)
	v.And(v.Rsh(v, shift), mask)

	left := unsigned(rest[first:last], order)
	left.AndNot(left, mask.Lsh(mask, shift)).FillBytes(rest[first:last])
	if order != binary.ByteOrder(binary.BigEndian) {
		slices.Reverse(rest[first:last])
	}
	switch t := btf.UnderlyingType(m.Type).(type) {
	case *btf.Enum:
		return enumerator(t, v, bits), nil
	case *btf.Int:
		return integer(t, v, bits)
	}
	return nil, errValue
}

// address is the IP address in one of the kernel's own structs for it.
func address(structName string, data []byte) (string, bool) {
	if size := map[string]int{"in_addr": 4, "in6_addr": 16}[structName]; size == 0 || size != len(data) {
		return "", false
	}
	ip, ok := netip.AddrFromSlice(data)
	return ip.String(), ok
}

// unsigned reads an integer of any size.
func unsigned(data []byte, order binary.ByteOrder) *big.Int {
	data = slices.Clone(data)
	if order != binary.ByteOrder(binary.BigEndian) {
		slices.Reverse(data)
	}
	return new(big.Int).SetBytes(data)
}

// signed reinterprets v, bits wide, as two's complement when isSigned.
func signed(v *big.Int, bits uint, isSigned bool) *big.Int {
	if isSigned && bits > 0 && v.Bit(int(bits)-1) == 1 {
		return new(big.Int).Sub(v, new(big.Int).Lsh(big.NewInt(1), bits))
	}
	return v
}

func hexText(data []byte) string { return "0x" + hex.EncodeToString(data) }

// number is v as JSON, without loss of precision.
func number(v *big.Int) json.Number { return json.Number(fmt.Sprint(v)) }
