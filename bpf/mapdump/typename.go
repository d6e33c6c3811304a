// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package mapdump

import (
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/internal/btfvalue"
)

// typeName is the C spelling of a type without what qualifies it, "" for none.
func typeName(t btf.Type) string {
	if t == nil {
		return ""
	}
	return btfvalue.CType(btf.QualifiedType(t))
}
