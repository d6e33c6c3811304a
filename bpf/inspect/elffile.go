// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// Sizes of the 64-bit ELF structures (gABI, chapters 4 and 5).
const (
	headerSize        = 64
	sectionHeaderSize = 64
	symbolSize        = 24
	relocationSize    = 16
)

// elfFile is the frame of an ELF file that passed check: enough to apply the
// limits, and no more. Reading the content is for cilium/ebpf.
type elfFile struct {
	order    binary.ByteOrder
	data     []byte
	sections []section
	symbols  []symbol // of the table relocations refer to; the first is none
	btf      *btfGraph
}

// section is one section header. Its bytes are inside the file.
type section struct {
	name       string
	typ        elf.SectionType
	flags      elf.SectionFlag
	link, info uint32
	size, at   uint64 // at: where in the file
	bytes      []byte // nil for SHT_NOBITS
}

// code says whether the section holds programs or subprograms.
func (s *section) code() bool {
	return s.typ == elf.SHT_PROGBITS && s.flags&elf.SHF_EXECINSTR != 0
}

// check applies every limit to data. It returns the file's frame, or an error
// wrapping [ErrNotBPF], [ErrUnreadable] or [ErrTooLarge].
func check(data []byte) (*elfFile, error) {
	if len(data) > MaxObject {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are accepted", ErrTooLarge, len(data), MaxObject)
	}
	f, err := parseHeader(data)
	if err != nil {
		return nil, err
	}
	for _, step := range []func() error{f.readSections, f.checkSizes, f.nameSections, f.checkDataSections, f.checkSymbols, f.checkRelocations, f.checkBTF, f.checkCode} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// parseHeader accepts a relocatable 64-bit BPF file.
func parseHeader(data []byte) (*elfFile, error) {
	if !bytes.HasPrefix(data, []byte(elf.ELFMAG)) {
		return nil, fmt.Errorf("%w: %s", ErrNotBPF, kind(data))
	}
	// The machine stands before anything whose place depends on the class.
	const machineEnd = 20
	if len(data) < machineEnd {
		return nil, truncated("its header", machineEnd, len(data))
	}
	f := &elfFile{data: data, order: binary.LittleEndian}
	switch elf.Data(data[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
	case elf.ELFDATA2MSB:
		f.order = binary.BigEndian
	default:
		return nil, fmt.Errorf("%w: an ELF file of unknown byte order", ErrNotBPF)
	}
	// Clang before 2016 wrote no machine; libbpf and cilium/ebpf read that too.
	machine := elf.Machine(f.order.Uint16(data[18:]))
	if machine != elf.EM_BPF && machine != elf.EM_NONE {
		return nil, fmt.Errorf("%w: an ELF file for %s", ErrNotBPF, machineName(machine))
	}
	if typ := elf.Type(f.order.Uint16(data[16:])); typ != elf.ET_REL {
		return nil, fmt.Errorf("%w: an ELF file of type %s, where compilers write a relocatable object", ErrNotBPF, typ)
	}
	if elf.Class(data[elf.EI_CLASS]) != elf.ELFCLASS64 {
		return nil, fmt.Errorf("%w: an ELF file that is not 64-bit", ErrNotBPF)
	}
	if len(data) < headerSize {
		return nil, truncated("its header", headerSize, len(data))
	}
	return f, nil
}

func truncated(what string, end uint64, size int) error {
	return fmt.Errorf("%w: cut short: %s ends at byte %d, the file at %d", ErrUnreadable, what, end, size)
}

// readSections reads the section headers, without their names.
func (f *elfFile) readSections() error {
	offset := f.order.Uint64(f.data[40:])
	size, count := f.order.Uint16(f.data[58:]), f.order.Uint16(f.data[60:])
	switch {
	case offset == 0:
		return fmt.Errorf("%w: it has no sections", ErrUnreadable)
	case size != sectionHeaderSize:
		return fmt.Errorf("%w: section headers of %d bytes, not %d", ErrUnreadable, size, sectionHeaderSize)
	case count == 0 || count > maxSections:
		// Zero says that the count is elsewhere, being over 65279.
		return fmt.Errorf("%w: more than %d sections, or none", ErrTooLarge, maxSections)
	}
	table, ok := f.slice(offset, uint64(count)*sectionHeaderSize)
	if !ok {
		return truncated("its section table", saturatingAdd(offset, uint64(count)*sectionHeaderSize), len(f.data))
	}
	f.sections = make([]section, count)
	for i := range f.sections {
		h := table[i*sectionHeaderSize:]
		s := &f.sections[i]
		s.typ = elf.SectionType(f.order.Uint32(h[4:]))
		s.flags = elf.SectionFlag(f.order.Uint64(h[8:]))
		s.size = f.order.Uint64(h[32:])
		s.link, s.info = f.order.Uint32(h[40:]), f.order.Uint32(h[44:])
		if s.typ == elf.SHT_NOBITS {
			continue
		}
		at := f.order.Uint64(h[24:])
		if s.bytes, ok = f.slice(at, s.size); !ok {
			return truncated(fmt.Sprintf("section %d", i), saturatingAdd(at, s.size), len(f.data))
		}
		s.at = at
	}
	return nil
}

// slice returns size bytes of the file from offset, if it has them.
func (f *elfFile) slice(offset, size uint64) ([]byte, bool) {
	n := uint64(len(f.data))
	if offset > n || size > n-offset {
		return nil, false
	}
	return f.data[offset : offset+size], true
}

func saturatingAdd(a, b uint64) uint64 {
	if a > math.MaxUint64-b {
		return math.MaxUint64
	}
	return a + b
}

// checkSizes refuses what reads as more than the file has: compressed sections,
// sections that share bytes (so that many small ones are not one large one many
// times), and zero-filled sections without end.
func (f *elfFile) checkSizes() error {
	zeroes := newBudget(maxExpansion, "bytes of zero-filled data")
	var stored uint64
	for i := range f.sections {
		s := &f.sections[i]
		if s.flags&elf.SHF_COMPRESSED != 0 {
			return fmt.Errorf("%w: section %d is compressed: remove debug sections with llvm-strip -g", ErrUnreadable, i)
		}
		if s.bytes != nil {
			stored += s.size
			continue
		}
		if s.size > math.MaxInt64 {
			return zeroes.spend(math.MaxInt64)
		}
		if err := zeroes.spend(int64(s.size)); err != nil {
			return err
		}
	}
	// Every size is within the file, and there are few: no overflow.
	if stored > uint64(len(f.data)) {
		return fmt.Errorf("%w: its sections overlap", ErrUnreadable)
	}
	return nil
}

// nameSections looks up the sections' names.
func (f *elfFile) nameSections() error {
	index := int(f.order.Uint16(f.data[62:]))
	if index >= len(f.sections) {
		return fmt.Errorf("%w: no section %d for the section names", ErrUnreadable, index)
	}
	offset := f.order.Uint64(f.data[40:])
	names := newBudget(maxNames, "bytes of section names")
	for i := range f.sections {
		at := f.order.Uint32(f.data[offset+uint64(i)*sectionHeaderSize:])
		name, ok := tableString(f.sections[index].bytes, at)
		if !ok {
			return fmt.Errorf("%w: section %d has no name", ErrUnreadable, i)
		}
		if err := names.spend(int64(len(name))); err != nil {
			return err
		}
		f.sections[i].name = string(name)
	}
	return nil
}

// checkDataSections refuses two data sections of one name. Each becomes a map of
// that name, and the parser of cilium/ebpf keeps one of them, now this and now that.
func (f *elfFile) checkDataSections() error {
	seen := map[string]bool{}
	for i := range f.sections {
		name := f.sections[i].name
		if !dataSection(name) {
			continue
		}
		if seen[name] {
			return fmt.Errorf("%w: it has two sections %q, and a map can be made of one only", ErrUnreadable, name)
		}
		seen[name] = true
	}
	return nil
}

// tableString is the string at offset in a table, false when it does not end in a
// NUL within the table.
func tableString(table []byte, offset uint32) ([]byte, bool) {
	if uint64(offset) > uint64(len(table)) {
		return nil, false
	}
	s, _, ok := bytes.Cut(table[offset:], []byte{0})
	return s, ok
}

// kind says in a few words what bytes that are no ELF file are.
func kind(data []byte) string {
	for _, k := range []struct{ magic, words string }{
		{"", "an empty file"},
		{"BC\xC0\xDE", "LLVM bitcode: compile it to an object with clang -target bpf -c"},
		{"\x1f\x8b", "a gzip archive"},
		{"PK\x03\x04", "a zip archive"},
		{"#include", "C source: compile it with clang -g -O2 -target bpf -c"},
		{"//", "C source: compile it with clang -g -O2 -target bpf -c"},
		{"/*", "C source: compile it with clang -g -O2 -target bpf -c"},
	} {
		if k.magic == "" && len(data) == 0 || k.magic != "" && bytes.HasPrefix(data, []byte(k.magic)) {
			return k.words
		}
	}
	return "not an ELF file"
}

// machineName names a machine the way its users do.
func machineName(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "x86-64"
	case elf.EM_386:
		return "x86"
	case elf.EM_AARCH64:
		return "arm64"
	}
	s, known := strings.CutPrefix(m.String(), "EM_")
	// An unknown number is spelled as the distance from a known one.
	if !known || strings.Contains(s, "+") {
		return fmt.Sprintf("machine %d", uint16(m))
	}
	return s
}
