// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfgen

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// program is one program's relocations, as the loader resolves them: together,
// because it chooses one type of the kernel for all that are about one of the
// program's.
type program struct {
	name        string // with its object's, for errors
	relocations []*btf.CORERelocation
}

// relocatedPrograms lists those with relocations.
func relocatedPrograms(object string, spec *ebpf.CollectionSpec) []program {
	var out []program
	for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
		p := program{name: fmt.Sprintf("program %q of %q", name, object)}
		instructions := spec.Programs[name].Instructions
		for i := range instructions {
			if r := btf.CORERelocationMetadata(&instructions[i]); r != nil {
				p.relocations = append(p.relocations, r)
			}
		}
		if len(p.relocations) > 0 {
			out = append(out, p)
		}
	}
	return out
}

// fixups is what the loader would do to p's instructions.
func (p program) fixups(g *Generator, kernel *btf.Spec) ([]btf.COREFixup, error) {
	local := func(btf.Type) (btf.TypeID, error) { return 1, nil } // no matter of the kernel
	return btf.CORERelocate(p.relocations, []*btf.Spec{kernel}, g.order, local)
}

// compare relocates every program with the whole BTF and with the minimised one.
// A program that does not go with the whole may fail otherwise with the other.
func (g *Generator) compare(whole *btf.Spec, minimal []byte) error {
	cut, err := btf.LoadSpecFromReader(bytes.NewReader(minimal))
	if err != nil {
		return fmt.Errorf("reading the minimised BTF: %w", err)
	}
	for _, p := range g.programs {
		want, err := p.fixups(g, whole)
		if err != nil {
			continue
		}
		got, err := p.fixups(g, cut)
		if err != nil {
			return fmt.Errorf("%s: relocating with the minimised BTF: %w", p.name, err)
		}
		for i := range want {
			if got[i] != want[i] && !isTypeID(&want[i]) {
				return fmt.Errorf("%s: %s is %s with the minimised BTF, and %s with the kernel's", p.name, p.relocations[i], &got[i], &want[i])
			}
		}
	}
	return nil
}

// isTypeID says whether a fixup is the number of a type of the kernel. Who has
// no BTF to look it up in cannot use it.
func isTypeID(f *btf.COREFixup) bool { return strings.HasPrefix(f.String(), "target_type_id=") }
