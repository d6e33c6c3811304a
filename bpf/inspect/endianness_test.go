// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"encoding/binary"
	"testing"
)

// TestEndianness: the native order has a type of its own, and is one of the two.
func TestEndianness(t *testing.T) {
	native := "big"
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		native = "little"
	}
	for _, tt := range []struct {
		order binary.ByteOrder
		want  string
	}{
		{binary.BigEndian, "big"},
		{binary.LittleEndian, "little"},
		{binary.NativeEndian, native},
	} {
		if got := Endianness(tt.order); got != tt.want {
			t.Errorf("%v: %s, want %s", tt.order, got, tt.want)
		}
	}
}
