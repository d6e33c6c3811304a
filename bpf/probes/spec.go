// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package probes

import (
	"encoding/binary"
	"fmt"
)

// The maps by which libbpf's usdt.bpf.h gets at arguments.
const (
	// SpecsMap is an array of specifications, see [Spec].
	SpecsMap = "__bpf_usdt_specs"
	// SpecSize is the size of its values, struct __bpf_usdt_spec.
	SpecSize = MaxArgs*argSize + 8 + 8
	argSize  = 16
)

// Spec is args as struct __bpf_usdt_spec, the value of [SpecsMap] from which a
// program that libbpf's usdt.bpf.h is compiled into reads where they are. The
// index in the map is what the program gets as the cookie of the probe. A
// program of libbpf before 1.7 answers that it cannot read [Indexed] ones.
func Spec(order binary.ByteOrder, args []Arg) ([]byte, error) {
	if len(args) > MaxArgs {
		return nil, fmt.Errorf("%w: there are more than %d", ErrArgument, MaxArgs)
	}
	spec := make([]byte, SpecSize)
	for i, a := range args {
		b := spec[i*argSize : (i+1)*argSize]
		order.PutUint64(b, a.Value) // val_off
		// arg_type, alone at first; since libbpf 1.7 8 bits of it, and then
		// idx_reg_off of 12 bits and scale_bitshift of 4, in what was zero.
		order.PutUint32(b[8:], uint32(a.Kind)|uint32(a.Index)<<8|uint32(a.Shift)<<20)
		order.PutUint16(b[12:], uint16(a.Register)) // reg_off
		if a.Signed {
			b[14] = 1 // arg_signed
		}
		b[15] = uint8(64 - 8*a.Size) // arg_bitshift
	}
	// usdt_cookie stays zero; arg_cnt
	order.PutUint16(spec[MaxArgs*argSize+8:], uint16(len(args)))
	return spec, nil
}
