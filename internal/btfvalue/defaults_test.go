// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/internal/btfvalue"
)

// TestDefaultsCanBeSet gives back every default that a Description lists: it must
// mean the same bytes.
func TestDefaultsCanBeSet(t *testing.T) {
	files, err := filepath.Glob("../../bpf/testdata/*.bpf.o")
	if err != nil || len(files) == 0 {
		t.Fatalf("no objects: %v", err)
	}
	seen := 0
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		obj, err := inspect.Object(filepath.Base(path), data)
		if err != nil || obj.Endianness != "little" {
			continue
		}
		spec, err := inspect.Load(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range obj.Variables {
			if v.Default == nil {
				continue
			}
			seen++
			text := string(v.Default)
			if err := json.Unmarshal(v.Default, &text); err != nil {
				text = string(v.Default) // not text
			}
			want := spec.Variables[v.Name]
			got, err := btfvalue.Encode(want.Type.Type, text, make([]byte, len(want.Value)), binary.LittleEndian)
			if err != nil || !bytes.Equal(got, want.Value) {
				t.Errorf("%s: %s = %s: %x, %v; want %x", path, v.Name, v.Default, got, err, want.Value)
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d defaults", seen)
	}
}
