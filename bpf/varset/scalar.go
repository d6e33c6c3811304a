// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package varset

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// maxDigits bounds the text of one number: 128 bits are 39 digits.
const maxDigits = 64

// encodeScalar writes a value without parts over p.data.
func encodeScalar(p place, text string) error {
	switch p.typ.(type) {
	case *btf.Int, *btf.Enum:
		n, err := parseInteger(p, text)
		if err != nil {
			return err
		}
		return p.put(integerBytes(n, len(p.data), p.isWire()))
	case *btf.Float:
		return encodeFloat(p, text)
	case *btf.Pointer:
		if text == "0x"+unsigned(p.was).Text(16) { // as a dump shows what it has already
			return p.put(p.was)
		}
		return p.fail("%w: a %s is a pointer, which means nothing before the kernel has made what it points to", ErrNotSettable, p.ctype())
	}
	return p.fail("%w: bpfimg writes no values of type %s", ErrNotSettable, p.ctype())
}

// encodeBitfield writes a member of fewer bits than its type into its parent.
func encodeBitfield(p place, m btf.Member, v value) error {
	bits, from := uint(m.BitfieldSize), uint(m.Offset)
	to := uint64(from) + uint64(bits)
	if to > uint64(len(p.data))*8 || bits > 128 {
		return p.fail("%w: it does not fit into what it is a field of", ErrNotSettable)
	}
	parent := p
	p = strip(place{typ: m.Type, path: p.path})
	text, err := v.scalar()
	if err != nil {
		return p.fail("a bitfield takes one value, and %w is given", err)
	}
	n, err := parseBits(p, text, bits)
	if err != nil {
		return err
	}
	parent = parent.part(uint64(from/8), (to+7)/8)
	window := parent.data
	shift := from % 8
	if bigEndian() { // counted from the top
		shift = uint(len(window))*8 - from%8 - bits
	}
	whole := unsigned(window)
	mask := new(big.Int).Lsh(big.NewInt(1), bits)
	mask.Sub(mask, big.NewInt(1))
	n.And(n, mask)
	whole.AndNot(whole, mask.Lsh(mask, shift))
	return parent.putBits(integerBytes(whole.Or(whole, n.Lsh(n, shift)), len(window), false), integerBytes(mask, len(window), false))
}

// parseInteger reads an int, bool, char or enum of its full width.
func parseInteger(p place, text string) (*big.Int, error) {
	if ip, err := netip.ParseAddr(text); err == nil && p.isWire() && ip.Is4() && len(p.data) == 4 {
		return new(big.Int).SetBytes(ip.AsSlice()), nil
	}
	return parseBits(p, text, uint(len(p.data))*8)
}

// parseBits reads a number of so many bits; p.data is not looked at.
func parseBits(p place, text string, bits uint) (*big.Int, error) {
	switch t := p.typ.(type) {
	case *btf.Int:
		switch {
		case t.Encoding == btf.Bool:
			return parseBool(p, text)
		case isChar(t) && len(text) == 3 && text[0] == '\'' && text[2] == '\'':
			if text[1] > math.MaxInt8 {
				return nil, p.fail("%q is not one character of ASCII", text)
			}
			text = strconv.Itoa(int(text[1]))
		}
		return parseNumber(p, text, bits, t.Encoding == btf.Signed)
	case *btf.Enum:
		for _, e := range t.Values {
			if e.Name != text || text == "" {
				continue
			}
			n := new(big.Int).SetUint64(e.Value)
			if t.Signed {
				n.SetInt64(int64(e.Value))
			}
			return inRange(p, text, n, bits, t.Signed)
		}
		if _, err := integer(text); err != nil {
			return nil, p.fail("a %s has no value %q; it has %s", p.ctype(), text, enumNames(t))
		}
		return parseNumber(p, text, bits, t.Signed)
	}
	return nil, p.fail("%w: bpfimg writes no values of type %s", ErrNotSettable, p.ctype())
}

func enumNames(t *btf.Enum) string {
	const most = 32
	var names []string
	for i, e := range t.Values {
		if i == most {
			names = append(names, "…")
			break
		}
		names = append(names, e.Name)
	}
	return strings.Join(names, ", ")
}

func parseBool(p place, text string) (*big.Int, error) {
	switch text {
	case "true", "1":
		return big.NewInt(1), nil
	case "false", "0":
		return big.NewInt(0), nil
	}
	return nil, p.fail("%q is not a bool: want true or false", text)
}

// parseNumber reads an integer and checks its range.
func parseNumber(p place, text string, bits uint, isSigned bool) (*big.Int, error) {
	n, err := integer(text)
	if err != nil {
		return nil, p.fail("%q is not a number for a %s: %w", text, p.ctype(), err)
	}
	return inRange(p, text, n, bits, isSigned)
}

// inRange is n, which text means, if it has no more than so many bits.
func inRange(p place, text string, n *big.Int, bits uint, isSigned bool) (*big.Int, error) {
	least, most := new(big.Int), new(big.Int).Lsh(big.NewInt(1), bits)
	if isSigned {
		most.Rsh(most, 1)
		least.Neg(most)
	}
	most.Sub(most, big.NewInt(1))
	if n.Cmp(least) < 0 || n.Cmp(most) > 0 {
		return nil, p.fail("%s is out of range: a %s of %d bits holds %s to %s", text, p.ctype(), bits, least, most)
	}
	return n, nil
}

// integer reads [+-]DIGITS or [+-]0xDIGITS.
func integer(text string) (*big.Int, error) {
	if len(text) > maxDigits {
		return nil, fmt.Errorf("it has %d characters", len(text))
	}
	digits, base := text, 10
	if text != "" && (text[0] == '-' || text[0] == '+') {
		digits = text[1:]
	}
	if rest, ok := strings.CutPrefix(strings.ToLower(digits), "0x"); ok {
		digits, base = rest, 16
	} else if len(digits) > 1 && digits[0] == '0' {
		return nil, errors.New("write it without the leading zero, which is octal in C")
	}
	if digits == "" || strings.Trim(strings.ToLower(digits), "0123456789abcdef"[:base]) != "" {
		return nil, errors.New("want decimal digits, or 0x and hexadecimal ones")
	}
	n, _ := new(big.Int).SetString(digits, base)
	if strings.HasPrefix(text, "-") {
		n.Neg(n)
	}
	return n, nil
}

// integerBytes are those of n, in range of so many, as two's complement.
func integerBytes(n *big.Int, size int, wire bool) []byte {
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(size)*8))
	}
	data := n.FillBytes(make([]byte, size))
	if !wire && !bigEndian() {
		slices.Reverse(data)
	}
	return data
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

// isWire says whether the integer here is in network byte order.
func (p place) isWire() bool {
	_, ok := p.typ.(*btf.Int)
	return p.wire && ok
}

// unsigned reads data in this machine's byte order.
func unsigned(data []byte) *big.Int {
	data = slices.Clone(data)
	if !bigEndian() {
		slices.Reverse(data)
	}
	return new(big.Int).SetBytes(data)
}

func bigEndian() bool { return binary.NativeEndian.Uint16([]byte{0, 1}) == 1 }

func encodeFloat(p place, text string) error {
	bits := len(p.data) * 8
	if bits != 32 && bits != 64 {
		return p.fail("%w: bpfimg writes no values of type %s", ErrNotSettable, p.ctype())
	}
	f, err := strconv.ParseFloat(text, bits)
	if err != nil {
		return p.fail("%q is not a number in the range of a %s", text, p.ctype())
	}
	n := math.Float64bits(f)
	if bits == 32 {
		n = uint64(math.Float32bits(float32(f)))
	}
	if math.IsNaN(f) {
		return p.putNaN()
	}
	return p.put(integerBytes(new(big.Int).SetUint64(n), len(p.data), false))
}

// putNaN writes what NAN is in C. It tells nothing of the bits, but that they are no
// number: another field of a union may.
func (p place) putNaN() error {
	canonical, isNaN := uint64(0x7fc0_0000), func(n uint64) bool { return math.IsNaN(float64(math.Float32frombits(uint32(n)))) }
	if len(p.data) == 8 {
		canonical, isNaN = 0x7ff8_0000_0000_0000, func(n uint64) bool { return math.IsNaN(math.Float64frombits(n)) }
	}
	told, done := unsigned(p.data).Uint64(), unsigned(p.done).Uint64()
	for _, nan := range []uint64{canonical, math.MaxUint64 >> (64 - 8*len(p.data))} {
		if n := told&done | nan&^done; isNaN(n) {
			copy(p.data, integerBytes(new(big.Int).SetUint64(n), len(p.data), false))
			return nil
		}
	}
	return p.fail("%w", errOther)
}
