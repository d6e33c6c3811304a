// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"bytes"
	"encoding/binary"
	"encoding/json"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/internal/btfvalue"
)

// Bounds of the defaults in a Description, which is a label and should be read
// by people.
const (
	// maxDefault bounds the bytes of a variable whose default is listed.
	maxDefault = 256
	// maxDefaultText bounds the JSON of one default, and maxDefaultTexts that of
	// all of an object.
	maxDefaultText  = 2 << 10
	maxDefaultTexts = 64 << 10
	// maxValueParts bounds the members and elements of one default, which may
	// have no size: types come from strangers.
	maxValueParts = 1024
)

// defaultValue is the JSON of what a variable holds in the object, nil when there is
// nothing to say (see [schemas.Variable.Default]).
func defaultValue(v *ebpf.VariableSpec, order binary.ByteOrder, texts *budget) json.RawMessage {
	if len(v.Value) > maxDefault || len(bytes.Trim(v.Value, "\x00")) == 0 {
		return nil
	}
	var typ btf.Type
	if v.Type != nil {
		typ = v.Type.Type
	}
	text, err := json.Marshal(btfvalue.Whole(typ, v.Value, order, maxValueParts))
	if len(text) > maxDefaultText {
		text, err = json.Marshal(btfvalue.Whole(nil, v.Value, order, 0))
	}
	if err != nil || texts.spend(int64(len(text))) != nil {
		return nil
	}
	return text
}

// cType is the C spelling of t, "" for no type, for void and for the data sections
// the compiler makes up.
func cType(t btf.Type) string {
	switch t.(type) {
	case nil, *btf.Void, *btf.Datasec:
		return ""
	}
	return btfvalue.CType(t)
}
