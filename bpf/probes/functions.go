// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package probes

import (
	"bytes"
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Errors of [File.Function]; test with [errors.Is].
var (
	// ErrNoFunction: no symbol table of the file has it.
	ErrNoFunction = errors.New("no such function")
	// ErrImported: it is in another file, a library.
	ErrImported = errors.New("only imported")
	// ErrAmbiguous: several functions in one file are called that.
	ErrAmbiguous = errors.New("several functions of that name")
)

// Function is one that the file itself contains.
type Function struct {
	Name string
	// Offset of its first instruction, from the start of the file, and Size in
	// bytes, 0 when the file does not say.
	Offset, Size uint64

	global bool
}

// Functions lists those whose name matches the pattern (see [Match]), by offset.
// Of several names for one place it keeps one. More than limit of them is an
// error that wraps [ErrTooLarge].
func (f *File) Functions(pattern string, limit int) ([]Function, error) {
	found := map[uint64]Function{}
	err := f.eachFunction(func(name []byte) bool { return Match(pattern, string(name)) }, func(fn Function, _ bool) error {
		if _, again := found[fn.Offset]; fn.Offset == 0 || again {
			return nil
		}
		if len(found) == limit {
			return fmt.Errorf("%w: more than %d functions match", ErrTooLarge, limit)
		}
		found[fn.Offset] = fn
		return nil
	})
	return slices.SortedFunc(maps.Values(found), func(a, b Function) int { return cmp.Compare(a.Offset, b.Offset) }), err
}

// Function finds the function of exactly this name. Of several it takes the
// global one. Errors: [ErrImported], [ErrNoFunction], [ErrAmbiguous].
func (f *File) Function(name string) (Function, error) {
	var found []Function
	imported := false
	err := f.eachFunction(func(n []byte) bool { return string(n) == name }, func(fn Function, undefined bool) error {
		imported = imported || undefined
		if fn.Offset == 0 || slices.ContainsFunc(found, func(o Function) bool { return o.Offset == fn.Offset }) {
			return nil
		}
		if len(found) > 0 && found[0].global != fn.global {
			if fn.global {
				found = []Function{fn}
			}
			return nil
		}
		if found = append(found, fn); len(found) > maxSame {
			return fmt.Errorf("%w: more than %d", ErrAmbiguous, maxSame)
		}
		return nil
	})
	switch {
	case err != nil:
		return Function{}, err
	case len(found) > 1:
		return Function{}, fmt.Errorf("%w: at %#x and %#x of the file", ErrAmbiguous, found[0].Offset, found[1].Offset)
	case len(found) == 1:
		return found[0], nil
	case imported:
		return Function{}, ErrImported
	}
	return Function{}, ErrNoFunction
}

// maxSame bounds how many functions of one name are looked at.
const maxSame = 64

// eachFunction calls yield for each function whose name is wanted, until that
// fails. Offset is 0 for those that are elsewhere.
func (f *File) eachFunction(wanted func(name []byte) bool, yield func(fn Function, imported bool) error) error {
	for _, typ := range []elf.SectionType{elf.SHT_SYMTAB, elf.SHT_DYNSYM} {
		i := slices.IndexFunc(f.sections, func(s section) bool { return s.typ == typ })
		if i < 0 {
			continue
		}
		if err := f.functionsOf(f.sections[i], wanted, yield); err != nil {
			return err
		}
	}
	return nil
}

// functionsOf is eachFunction for one symbol table.
func (f *File) functionsOf(table section, wanted func(name []byte) bool, yield func(fn Function, imported bool) error) error {
	names, err := f.symbolNames(table)
	if err != nil {
		return err
	}
	const chunk = 4096 * symbolSize
	for done := uint64(0); done < table.size; done += chunk {
		symbols, err := f.read(table.offset+done, min(chunk, table.size-done))
		if err != nil {
			return err
		}
		for s := range slices.Chunk(symbols, symbolSize) {
			name := functionName(f.order.Uint32(s), s[4], names)
			if len(name) == 0 || !wanted(name) {
				continue
			}
			if err := yield(f.function(string(name), s)); err != nil {
				return err
			}
		}
	}
	return nil
}

// symbolNames checks a symbol table against the limits and reads its names.
func (f *File) symbolNames(table section) ([]byte, error) {
	switch {
	case table.flags&elf.SHF_COMPRESSED != 0 || table.size%symbolSize != 0 || table.link >= uint64(len(f.sections)):
		return nil, fmt.Errorf("%w: its symbol table", ErrUnreadable)
	case table.size/symbolSize > maxSymbols:
		return nil, fmt.Errorf("%w: %d symbols", ErrTooLarge, table.size/symbolSize)
	}
	names := f.sections[table.link]
	if names.size > maxStrings || names.typ != elf.SHT_STRTAB || names.flags&elf.SHF_COMPRESSED != 0 {
		return nil, fmt.Errorf("%w: %d bytes of symbol names", ErrTooLarge, names.size)
	}
	return f.read(names.offset, names.size)
}

// functionName is the name of a symbol that is a function, nil for others.
func functionName(start uint32, info byte, names []byte) []byte {
	if elf.ST_TYPE(info) != elf.STT_FUNC || uint64(start) >= uint64(len(names)) {
		return nil
	}
	name, _, ok := bytes.Cut(names[start:min(len(names), int(start)+maxName)], []byte{0})
	if !ok {
		return nil
	}
	return name
}

// function reads a symbol that is one.
func (f *File) function(name string, symbol []byte) (fn Function, imported bool) {
	fn = Function{Name: name, Size: f.order.Uint64(symbol[16:]), global: elf.ST_BIND(symbol[4]) != elf.STB_LOCAL}
	if elf.SectionIndex(f.order.Uint16(symbol[6:])) == elf.SHN_UNDEF {
		return fn, true
	}
	fn.Offset, _ = f.place(f.order.Uint64(symbol[8:]), true)
	return fn, false
}
