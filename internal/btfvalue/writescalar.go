// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// maxDigits bounds the text of one number: 128 bits are 39 digits.
const maxDigits = 64

// encodeScalar writes a value without parts over p.data.
func encodeScalar(p place, text string) error {
	if len(p.data) == 0 {
		return p.fail("%w: a %s has no bytes", ErrNotSettable, p.ctype())
	}
	switch p.typ.(type) {
	case *btf.Int, *btf.Enum:
		n, err := parseInteger(p, text)
		if err != nil {
			return err
		}
		return p.put(bytesOf(n, len(p.data), p.byteOrder()))
	case *btf.Float:
		return encodeFloat(p, text)
	case *btf.Pointer:
		if text == pointerText(unsigned(p.was, p.order)) { // as it is shown
			return p.put(p.was)
		}
		return p.fail("%w: a %s is a pointer, which means nothing before the kernel has made what it points to", ErrNotSettable, p.ctype())
	}
	return p.fail("%w: bpfimg writes no values of type %s", ErrNotSettable, p.ctype())
}

// encodeBitfield writes a member of fewer bits than its type into its parent.
func encodeBitfield(parent place, m btf.Member, v value) error {
	f, ok := bitFieldOf(m, len(parent.data), parent.order)
	if !ok {
		return parent.fail("%w: it does not fit into what it is a field of", ErrNotSettable)
	}
	p := strip(place{typ: m.Type, path: parent.path})
	text, err := v.scalar()
	if err != nil {
		return p.fail("a bitfield takes one value, and %w is given", err)
	}
	n, err := parseBits(p, text, f.bits)
	if err != nil {
		return err
	}
	return parent.part(m.Type, f.from, f.to).putBits(f.bytes(n), f.maskBytes())
}

// parseInteger reads an int, bool, char or enum of its full width.
func parseInteger(p place, text string) (*big.Int, error) {
	_, isInt := p.typ.(*btf.Int)
	if ip, err := netip.ParseAddr(text); err == nil && isInt && p.wire && ip.Is4() && len(p.data) == 4 {
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
			return inRange(p, text, enumValue(t, e), bits, t.Signed)
		}
		if _, err := parseDigits(text); err != nil {
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
	n, err := parseDigits(text)
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

// parseDigits reads [+-]DIGITS or [+-]0xDIGITS.
func parseDigits(text string) (*big.Int, error) {
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

// byteOrder is that of an integer here.
func (p place) byteOrder() binary.ByteOrder {
	if _, ok := p.typ.(*btf.Int); ok && p.wire {
		return binary.BigEndian
	}
	return p.order
}

func encodeFloat(p place, text string) error {
	size := len(p.data)
	if size != 4 && size != 8 {
		return p.fail("%w: bpfimg writes no values of type %s", ErrNotSettable, p.ctype())
	}
	f, err := strconv.ParseFloat(text, size*8)
	if err != nil {
		return p.fail("%q is not a number in the range of a %s", text, p.ctype())
	}
	if math.IsNaN(f) {
		return p.putNaN()
	}
	return p.put(bytesOf(new(big.Int).SetUint64(floatBits(f, size)), size, p.order))
}

// putNaN writes what NAN is in C. It tells nothing of the bits, but that they are no
// number: another field of a union may.
func (p place) putNaN() error {
	size := len(p.data)
	told, done := unsigned(p.data, p.order).Uint64(), unsigned(p.done, p.order).Uint64()
	for _, nan := range []uint64{floatBits(math.NaN(), size), math.MaxUint64 >> (64 - 8*size)} {
		if n := told&done | nan&^done; math.IsNaN(floatOf(n, size)) {
			copy(p.data, bytesOf(new(big.Int).SetUint64(n), size, p.order))
			return nil
		}
	}
	return p.fail("%w", errOther)
}
