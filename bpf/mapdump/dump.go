// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package mapdump

// DefaultLimit is how many entries are read when the caller gives no limit:
// enough for a person to look at, little enough to stay in memory.
const DefaultLimit = 10_000

// Dump is the content of one map, formatted through BTF where it has any.
type Dump struct {
	Name string `json:"name"`
	// Type in libbpf's lower-case spelling: "percpu_array".
	Type string `json:"type"`
	// KeyType and ValueType are C types, empty without BTF.
	KeyType    string `json:"keyType,omitempty"`
	ValueType  string `json:"valueType,omitempty"`
	MaxEntries uint32 `json:"maxEntries"`
	// Entries in the kernel's order.
	Entries []Entry `json:"entries"`
	// Truncated says that the map has more entries than were read, or changed
	// so fast that not all could be.
	Truncated bool `json:"truncated,omitempty"`
}

// Entry is one key and its value. Key, Value and the elements of PerCPU are
// JSON-ready: json.Number, string, bool, nil, []any, or [btfvalue.Struct] with fields
// in declaration order.
type Entry struct {
	Key   any `json:"key"`
	Value any `json:"value"`
	// PerCPU holds one value a possible CPU of a per-CPU map, whose Value is
	// their field-wise sum.
	PerCPU []any `json:"perCpu,omitempty"`
}
