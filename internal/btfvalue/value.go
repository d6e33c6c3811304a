// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Struct is a C struct, union or data section with its fields in declaration
// order.
type Struct []Field

// Field is one member of a [Struct].
type Field struct {
	Name  string
	Value any
}

// MarshalJSON writes an object whose keys keep the order of the fields.
func (s Struct) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range s {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(f.Name)
		if err != nil {
			return nil, fmt.Errorf("field name %q: %w", f.Name, err)
		}
		value, err := json.Marshal(f.Value)
		if err != nil {
			return nil, fmt.Errorf("field %q: %w", f.Name, err)
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
