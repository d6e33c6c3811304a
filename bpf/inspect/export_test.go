// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"encoding/binary"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// DefaultOf is the default of a variable of one type with some bytes, "" when it
// has none.
func DefaultOf(typ btf.Type, data []byte, order binary.ByteOrder) string {
	v := &ebpf.VariableSpec{Type: &btf.Var{Name: "v", Type: typ}, Value: data}
	return string(defaultValue(v, order, newBudget(maxDefaultTexts, "")))
}
