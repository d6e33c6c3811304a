// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfgen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/cilium/ebpf/btf"
)

// MaxKernelBTF bounds the BTF of one kernel, in bytes. Those of distributions
// are 4 to 8 MiB, with all modules up to 20.
const MaxKernelBTF = 64 << 20

// Errors a caller decides on; test with [errors.Is].
var (
	// ErrKernelBTF: the bytes are not the BTF of a kernel, or damaged.
	ErrKernelBTF = errors.New("not the BTF of a kernel")
	// ErrByteOrder: the kernel's byte order is not that of the objects.
	ErrByteOrder = errors.New("the kernel has another byte order than the objects")
)

// Object is an ELF file and the name it has in errors.
type Object struct {
	Name  string
	Bytes []byte
}

// Generator makes the minimised BTF for a set of objects. It is safe for
// concurrent use.
type Generator struct {
	order       binary.ByteOrder
	relocations []relocation
	names       map[string]bool // of the types that are looked for
	programs    []program
}

// New reads the relocations of objects, which must be of one byte order. An
// error wraps those of inspect.Load.
func New(objects []Object) (g *Generator, err error) {
	g = &Generator{names: map[string]bool{}}
	for _, o := range objects {
		if err := g.add(o); err != nil {
			return nil, fmt.Errorf("object %q: %w", o.Name, err)
		}
	}
	for _, r := range g.relocations {
		if name := essentialName(r.local.TypeName()); name != "" && r.kind != typeIDLocal {
			g.names[name] = true
		}
	}
	return g, nil
}

// add reads one object.
func (g *Generator) add(o Object) (err error) {
	defer recoverParser(&err)
	spec, err := inspect.Load(o.Bytes)
	if err != nil {
		return err
	}
	if g.order == nil {
		g.order = spec.ByteOrder
	}
	if spec.ByteOrder != g.order {
		return ErrByteOrder
	}
	relocations, err := readRelocations(o.Bytes)
	if err != nil {
		return err
	}
	g.relocations = append(g.relocations, relocations...)
	g.programs = append(g.programs, relocatedPrograms(o.Name, spec)...)
	return nil
}

// Needed says whether the objects ask a kernel for its types at all.
func (g *Generator) Needed() bool { return len(g.names) > 0 }

// Generate returns what the objects need of a kernel's BTF, itself BTF, in the
// same byte order. Kernels that are alike in it give the same bytes. The result
// has no numbers of the kernel's types: a program that takes one
// (bpf_core_type_id_kernel) gets another.
//
// The error wraps [ErrKernelBTF] or [ErrByteOrder]; any other is a fault of this
// package, found by relocating with both.
func (g *Generator) Generate(kernel []byte) (minimal []byte, err error) {
	defer recoverParser(&err)
	if err := g.checkHeader(kernel); err != nil {
		return nil, err
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(kernel))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKernelBTF, err)
	}
	candidates, err := g.candidates(spec)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKernelBTF, err)
	}
	if minimal, err = g.cut(candidates); err != nil {
		return nil, err
	}
	return minimal, g.compare(spec, minimal)
}

// btfMagic begins BTF, in its byte order (linux/btf.h).
const btfMagic = 0xeb9f

func (g *Generator) checkHeader(kernel []byte) error {
	switch {
	case len(kernel) > MaxKernelBTF:
		return fmt.Errorf("%w: %d bytes, at most %d are read", ErrKernelBTF, len(kernel), MaxKernelBTF)
	case len(kernel) < 2:
		return fmt.Errorf("%w: it is empty", ErrKernelBTF)
	}
	var other binary.ByteOrder = binary.BigEndian
	if g.order == other {
		other = binary.LittleEndian
	}
	switch {
	case g.order.Uint16(kernel) == btfMagic:
		return nil
	case other.Uint16(kernel) == btfMagic:
		return ErrByteOrder
	}
	return fmt.Errorf("%w: it does not begin as BTF does", ErrKernelBTF)
}

// candidates finds the types that relocations may be about, by essential name
// and in the order of the kernel.
func (g *Generator) candidates(spec *btf.Spec) (map[string][]btf.Type, error) {
	found := make(map[string][]btf.Type, len(g.names))
	for name := range g.names {
		types, err := typesNamed(spec.TypesByName, name)
		// One that is found but refers to types that are not there wraps the same error.
		if err != nil && (!errors.Is(err, btf.ErrNotFound) || errors.Unwrap(err) != nil) {
			return nil, fmt.Errorf("looking up type %q: %w", name, err)
		}
		found[name] = types
	}
	return found, nil
}

// typesNamed calls the loader's own search for candidates, whose parameter has a
// type that cannot be named outside of its package. Spec.AnyTypesByName leaves
// out flavours, and Spec.All reads every type and ends without a word at one
// that is damaged.
func typesNamed[N ~string](search func(N) ([]btf.Type, error), essential string) ([]btf.Type, error) {
	return search(N(essential))
}

// essentialName is a type's name without the flavour that programs add to
// describe several versions of one type ("task_struct___old").
func essentialName(name string) string {
	if i := strings.LastIndex(name, "___"); i > 0 {
		return name[:i]
	}
	return name
}

// recoverParser turns a panic into an error: the readers of ELF and BTF index
// tables by what the file says, and one bad file must not end a build of many.
func recoverParser(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: the parser gave up on it: %v", ErrKernelBTF, r)
	}
}
