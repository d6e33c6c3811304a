// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfgen

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// What BTF can say when it is read and cannot when it is written again. The
// writer does not notice: it drops the upper bits, and the types read back are
// others.

// maxInt is the size of the largest integer, in bytes: the kernel takes up to 128
// bits (BTF_INT_BITS and btf_int_check_meta in kernel/bpf/btf.c).
const maxInt = 16

// checkInt refuses integers whose size in bits does not fit into its eight bits:
// read again, the integer would be a bit field.
func checkInt(t *btf.Int) error {
	if t.Size > maxInt {
		return fmt.Errorf("an integer %q of %d bytes, the largest has %d", t.Name, t.Size, maxInt)
	}
	return nil
}

// maxBitfieldOffset bounds where members can be in a struct with bit fields, in
// bits: 24 of the 32 bits of an offset are left (BTF_MEMBER_BIT_OFFSET in
// linux/btf.h).
const maxBitfieldOffset = 1<<24 - 1

// checkBitfields refuses members that do not fit beside a bit field. Kernels that
// write their bit fields in the same way can have none; in the old way, where the
// type of a member says how many bits it has, nothing keeps them out.
func checkBitfields(members []btf.Member) error {
	var bitfields bool
	var last btf.Bits
	for _, m := range members {
		bitfields = bitfields || m.BitfieldSize > 0
		last = max(last, m.Offset)
	}
	if bitfields && last > maxBitfieldOffset {
		return fmt.Errorf("a member at bit %d beside a bit field, the last possible is %d", last, maxBitfieldOffset)
	}
	return nil
}
