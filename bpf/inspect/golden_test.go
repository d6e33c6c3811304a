// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// ownObjects are bpfimg's examples and the objects made for tests.
func ownObjects(t testing.TB) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"../../examples/*/*.bpf.o", "../testdata/*.bpf.o"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no objects match %s (%v): run examples/generate.sh", pattern, err)
		}
		all = append(all, found...)
	}
	return all
}

func TestDescriptions(t *testing.T) {
	for _, path := range ownObjects(t) {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			obj, err := Object(name, read(t, path))
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(obj, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(name, ".bpf.o")+".golden.json", append(got, '\n'))
		})
	}
}

// TestDescribedFully looks at what the examples have none of: CO-RE, kfuncs,
// variables, .kconfig, sleepable programs, old-style maps, registers.
func TestDescribedFully(t *testing.T) {
	dir := ciliumDir(t)
	for _, tc := range []struct{ name, file string }{
		{"fentry", "examples/fentry/bpf_bpfel.o"},
		{"kfunc", "testdata/kfunc-el.elf"},
		{"kconfig", "testdata/kconfig-el.elf"},
		{"uretprobe", "examples/uretprobe/bpf_x86_bpfel.o"},
		{"variables", "testdata/variables-el.elf"},
		{"loader", "testdata/loader-clang-17-el.elf"},
		{"loader_nobtf", "testdata/loader_nobtf-el.elf"},
		{"tags", "btf/testdata/tags-el.elf"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			obj, err := Object(filepath.Base(tc.file), read(t, filepath.Join(dir, tc.file)))
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(obj, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "cilium-"+tc.name+".golden.json", append(got, '\n'))
		})
	}
}
