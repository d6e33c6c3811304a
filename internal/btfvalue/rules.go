// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"math"
	"math/big"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// maxDepth bounds how deep types nest, typedefs and qualifiers among them: they come
// from strangers. libbpf resolves as deep (MAX_RESOLVE_DEPTH in its btf.c).
const maxDepth = 32

// isNetworkOrder says whether a typedef marks big-endian numbers
// (linux/types.h).
func isNetworkOrder(typedef string) bool {
	return typedef == "__be16" || typedef == "__be32" || typedef == "__be64"
}

// namesAddress is the rule of the package comment on names of IPv4 addresses.
func namesAddress(name string) bool {
	for word := range strings.SplitSeq(strings.ToLower(name), "_") {
		switch word {
		case "ip", "ip4", "ipv4", "addr", "saddr", "daddr", "sip", "dip", "srcip", "dstip":
			return true
		}
	}
	return false
}

// isAddress knows the kernel's own address structs.
func isAddress(t *btf.Struct) bool {
	return t.Name == "in_addr" && t.Size == 4 || t.Name == "in6_addr" && t.Size == 16
}

// isChar says whether typ is C's char, through typedefs and qualifiers. Compilers
// do not set the encoding bit, so the name has to tell.
func isChar(typ btf.Type) bool {
	i, ok := btf.As[*btf.Int](typ)
	return ok && i.Size == 1 && (i.Name == "char" || i.Encoding == btf.Char)
}

// enumValue is what an enumerator means.
func enumValue(t *btf.Enum, e btf.EnumValue) *big.Int {
	if t.Signed {
		return big.NewInt(int64(e.Value))
	}
	return new(big.Int).SetUint64(e.Value)
}

// floatBits is f as a float of 4 bytes, or a double of 8; what is no number is as NAN
// is in C.
func floatBits(f float64, size int) uint64 {
	switch {
	case size == 4 && math.IsNaN(f):
		return 0x7fc0_0000
	case size == 4:
		return uint64(math.Float32bits(float32(f)))
	case math.IsNaN(f):
		return 0x7ff8_0000_0000_0000
	}
	return math.Float64bits(f)
}

// floatOf is the value of a float of 4 bytes, or a double of 8.
func floatOf(bits uint64, size int) float64 {
	if size == 4 {
		return float64(math.Float32frombits(uint32(bits)))
	}
	return math.Float64frombits(bits)
}
