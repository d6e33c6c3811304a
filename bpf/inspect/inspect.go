// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/schemas"
)

// Errors a caller decides on; every error of [Object] and [Load] wraps one of
// them and says the rest in the same sentence. Test with [errors.Is].
var (
	// ErrNotBPF: the bytes are not a BPF ELF object; the message says what they
	// are.
	ErrNotBPF = errors.New("not a BPF object")
	// ErrUnreadable: a BPF object that is cut short, damaged, or uses what the
	// loader does not know.
	ErrUnreadable = errors.New("unreadable BPF object")
	// ErrTooLarge: over [MaxObject] or one of the limits on what a small object
	// may expand to.
	ErrTooLarge = errors.New("BPF object over the limit")
	// ErrNoPrograms: a BPF object without any program.
	ErrNoPrograms = errors.New("no programs in the BPF object")
)

// Object describes the ELF file in data; name is its base name. The error wraps
// one of [ErrNotBPF], [ErrUnreadable], [ErrTooLarge] and [ErrNoPrograms].
func Object(name string, data []byte) (schemas.Object, error) {
	obj, _, err := object(name, data)
	if err != nil {
		return schemas.Object{}, fmt.Errorf("object %q: %w", name, err)
	}
	return obj, nil
}

// object is [Object] without the name in its errors, and what it was read from.
func object(name string, data []byte) (obj schemas.Object, spec *ebpf.CollectionSpec, err error) {
	defer recoverParser(&err)
	elf, spec, err := load(data)
	if err != nil {
		return schemas.Object{}, nil, err
	}
	digest := sha256.Sum256(data)
	weak := elf.weakSymbols()
	obj = schemas.Object{
		File:       name,
		Digest:     "sha256:" + hex.EncodeToString(digest[:]),
		Size:       int64(len(data)),
		Endianness: Endianness(spec.ByteOrder),
		Arch:       arch(name, spec),
		License:    license(spec),
		BTF:        spec.Types != nil,
		CORE:       hasCORE(spec),
		Compiler:   compiler(elf),
		Programs:   describePrograms(spec, weak),
		Maps:       describeMaps(spec),
		Variables:  describeVariables(spec, weak),
	}
	obj.MinKernel = objectMinKernel(spec, obj.Programs)
	return obj, spec, nil
}

// Load reads the ELF file in data for loading, with the same checks and errors
// as [Object]. It does not touch the kernel.
func Load(data []byte) (spec *ebpf.CollectionSpec, err error) {
	defer recoverParser(&err)
	_, spec, err = load(data)
	return spec, err
}

// load checks data against the limits and parses it.
func load(data []byte) (*elfFile, *ebpf.CollectionSpec, error) {
	f, err := check(data)
	if err != nil {
		return nil, nil, err
	}
	if f, err = readable(f); err != nil {
		return nil, nil, err
	}
	parsed := f.withoutKconfig()
	spec, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(parsed))
	if err == nil {
		err = f.checkExtInfos(spec, parsed)
	}
	if err == nil {
		err = addKconfig(spec)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	f.hideFunctions(spec)
	if len(spec.Programs) == 0 {
		return nil, nil, fmt.Errorf("%w: a program is a function with a SEC(\"…\") of its own", ErrNoPrograms)
	}
	if len(spec.Programs) > maxPrograms || len(spec.Maps) > maxMaps {
		return nil, nil, fmt.Errorf("%w: more than %d programs or %d maps", ErrTooLarge, maxPrograms, maxMaps)
	}
	return f, spec, nil
}

// checkExtInfos refuses a .BTF.ext section that the parser has left aside: that of
// cilium/ebpf takes one that refers to a type which is not there for none at all,
// and loading would go on without the CO-RE relocations. It takes all of the
// section or nothing: only where no instruction of spec has anything from it, parsed
// is read once more to tell.
func (f *elfFile) checkExtInfos(spec *ebpf.CollectionSpec, parsed []byte) error {
	named := func(s section) bool { return s.name == ".BTF.ext" }
	if f.btf == nil || !slices.ContainsFunc(f.sections, named) || hasExtInfos(spec) {
		return nil
	}
	_, infos, err := btf.LoadSpecAndExtInfosFromReader(bytes.NewReader(parsed))
	if err != nil {
		return err
	}
	if infos == nil {
		return errors.New("its section .BTF.ext refers to types that its .BTF section does not have")
	}
	return nil
}

// hasExtInfos says whether anything of .BTF.ext is known of an instruction. Compilers
// write a function record for the first one of each program.
func hasExtInfos(spec *ebpf.CollectionSpec) bool {
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if ins := &p.Instructions[i]; btf.FuncMetadata(ins) != nil || ins.Source() != nil || btf.CORERelocationMetadata(ins) != nil {
				return true
			}
		}
	}
	return false
}

// recoverParser turns a panic into an error. debug/elf has known panics on
// hostile files, and the ELF and BTF readers of cilium/ebpf index tables and
// assert types by what the file says; one bad object must not take down a
// process that looks at many.
func recoverParser(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("%w: the parser gave up on it: %v", ErrUnreadable, r)
	}
}

// Endianness is "big" or "little", the words of [schemas.Object]. It looks at what
// order does, since [binary.NativeEndian] is equal to neither of the others.
func Endianness(order binary.ByteOrder) string {
	if order.Uint16([]byte{0, 1}) == 1 {
		return "big"
	}
	return "little"
}

// license is what the kernel will see: one section, the same for all programs.
func license(spec *ebpf.CollectionSpec) string {
	for _, p := range spec.Programs {
		return p.License
	}
	return ""
}
