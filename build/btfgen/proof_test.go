// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfgen

import (
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/google/go-cmp/cmp"
)

// corpus lists objects with relocations: ours and those of cilium/ebpf.
func corpus(t testing.TB) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{
		"../../bpf/testdata/*.o", "../../examples/*/*.o",
		filepath.Join(ciliumDir(t), "btf/testdata/*-el.elf"), filepath.Join(ciliumDir(t), "testdata/*-el.elf"),
		filepath.Join(ciliumDir(t), "examples/*/*.o"), "/usr/lib/*/bpf/*.o",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			g, err := New([]Object{{Name: path, Bytes: read(t, path)}})
			if err == nil && g.Needed() && g.order == binary.ByteOrder(binary.LittleEndian) {
				found = append(found, path)
			}
		}
	}
	if len(found) < 9 {
		t.Fatalf("only %d objects with relocations: %s", len(found), found)
	}
	return found
}

// outcome of relocating one program, without what depends on numbers of types.
func outcome(g *Generator, p program, kernel *btf.Spec) string {
	fixups, err := p.fixups(g, kernel)
	if err != nil {
		return "refused"
	}
	var out string
	for i := range fixups {
		if !isTypeID(&fixups[i]) {
			out += fmt.Sprintf("%s: %+v\n", p.relocations[i], fixups[i])
		}
	}
	return out
}

// TestSameFixups is the proof: every program of every object is relocated
// alike with the whole BTF and the minimised one, and with bpftool's.
func TestSameFixups(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("bpftool")
	haveBpftool := err == nil
	objects := corpus(t)
	for name, data := range kernels(t) {
		t.Run(name, func(t *testing.T) {
			whole := spec(t, data)
			for _, object := range objects {
				g := newGenerator(t, object)
				minimal, err := g.Generate(data)
				if err != nil {
					t.Fatalf("%s: %v", object, err)
				}
				compareAll(t, g, whole, spec(t, minimal), object)
				if len(minimal) > 8<<10 {
					t.Errorf("%s: %d bytes", object, len(minimal))
				}
				if haveBpftool {
					compareBpftool(t, g, data, object, len(minimal))
				}
			}
		})
	}
}

func compareAll(t *testing.T, g *Generator, want, got *btf.Spec, what string) {
	t.Helper()
	for _, p := range g.programs {
		w := outcome(g, p, want)
		if w == "refused" {
			continue
		}
		if diff := cmp.Diff(w, outcome(g, p, got)); diff != "" {
			t.Errorf("%s: %s (-want +got):\n%s", what, p.name, diff)
		}
	}
}

// compareBpftool has bpftool do the same job.
func compareBpftool(t *testing.T, g *Generator, kernel []byte, object string, size int) {
	t.Helper()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from.btf"), filepath.Join(dir, "to.btf")
	if err := os.WriteFile(from, kernel, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "bpftool", "gen", "min_core_btf", from, to, object).CombinedOutput(); err != nil {
		t.Logf("%s: bpftool does not take it: %s", filepath.Base(object), out)
		return
	}
	theirs := read(t, to)
	t.Logf("%s: %d bytes, bpftool's are %d", filepath.Base(object), size, len(theirs))
	if size > len(theirs)+64 {
		t.Errorf("%s: %d bytes, bpftool needs %d", object, size, len(theirs))
	}
	minimal, err := g.Generate(kernel)
	if err != nil {
		t.Fatal(err)
	}
	compareAll(t, g, spec(t, theirs), spec(t, minimal), object+" and bpftool")
}

// TestEveryKind: the object that is made for it asks everything there is.
func TestEveryKind(t *testing.T) {
	t.Parallel()
	asked := map[kind]bool{}
	dir := ciliumDir(t)
	g := newGenerator(t, coreObject, filepath.Join(dir, "btf/testdata/relocs-el.elf"))
	for _, r := range g.relocations {
		asked[r.kind] = true
	}
	var want []kind
	for k := fieldByteOffset; k <= typeMatches; k++ {
		want = append(want, k)
	}
	if diff := cmp.Diff(want, slices.Sorted(maps.Keys(asked))); diff != "" {
		t.Errorf("kinds of relocations (-want +got):\n%s", diff)
	}
}

// TestAgainstObjects uses the types of objects as those of a kernel: they are
// made to differ.
func TestAgainstObjects(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(ciliumDir(t), "btf/testdata")
	for _, tc := range [][2]string{
		{"relocs_read-el.elf", "relocs_read_tgt-el.elf"},
		{"relocs_read-eb.elf", "relocs_read_tgt-eb.elf"},
		{"relocs-el.elf", "relocs-el.elf"},
		{"relocs-eb.elf", "relocs-eb.elf"},
		{"relocs_enum-el.elf", "relocs_enum-el.elf"},
		{"relocs_enum-eb.elf", "relocs_enum-eb.elf"},
		{"relocs-el.elf", "relocs_read_tgt-el.elf"},
	} {
		g := newGenerator(t, filepath.Join(dir, tc[0]))
		kernel := btfOf(t, read(t, filepath.Join(dir, tc[1])))
		minimal, err := g.Generate(kernel)
		if err != nil {
			t.Errorf("%s: %v", tc, err)
			continue
		}
		t.Logf("%s: %d of %d bytes", tc, len(minimal), len(kernel))
		compareAll(t, g, spec(t, kernel), spec(t, minimal), tc[0])
	}
}
