// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"encoding/binary"
	"math/big"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// maxBits of a bit field: those of the largest integer there is.
const maxBits = 128

func isBig(order binary.ByteOrder) bool { return order.Uint16([]byte{0, 1}) == 1 }

// unsigned reads an integer of any size.
func unsigned(data []byte, order binary.ByteOrder) *big.Int {
	data = slices.Clone(data)
	if !isBig(order) {
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

// bytesOf is n, which fits, in so many bytes as two's complement.
func bytesOf(n *big.Int, size int, order binary.ByteOrder) []byte {
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), uint(size)*8))
	}
	data := n.FillBytes(make([]byte, size))
	if !isBig(order) {
		slices.Reverse(data)
	}
	return data
}

// bitField is where a member of fewer bits than its type lies: in the bytes from to to
// of its parent, as a number of which so many bits are to be left out below it.
type bitField struct {
	from, to    uint64
	below, bits uint
	order       binary.ByteOrder
}

// bitFieldOf finds m in a parent of so many bytes; !ok if it is not inside.
func bitFieldOf(m btf.Member, size int, order binary.ByteOrder) (f bitField, ok bool) {
	first, bits := uint64(m.Offset), uint(m.BitfieldSize)
	end := first + uint64(bits)
	f = bitField{from: first / 8, to: (end + 7) / 8, below: uint(first % 8), bits: bits, order: order}
	if isBig(order) { // counted from the top
		f.below = uint(f.to*8 - end)
	}
	return f, end <= uint64(size)*8 && bits <= maxBits
}

// mask is all of its bits, as a number in its bytes.
func (f bitField) mask() *big.Int {
	mask := new(big.Int).Lsh(big.NewInt(1), f.bits)
	return mask.Lsh(mask.Sub(mask, big.NewInt(1)), f.below)
}

// read is its value without sign.
func (f bitField) read(parent []byte) *big.Int {
	v := unsigned(parent[f.from:f.to], f.order)
	return v.Rsh(v.And(v, f.mask()), f.below)
}

// bytes is a number in place, for its bytes.
func (f bitField) bytes(n *big.Int) []byte {
	placed := new(big.Int).Lsh(n, f.below)
	return bytesOf(placed.And(placed, f.mask()), int(f.to-f.from), f.order)
}

// maskBytes are its bits in its bytes.
func (f bitField) maskBytes() []byte { return bytesOf(f.mask(), int(f.to-f.from), f.order) }
