// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package probes

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Errors a caller decides on; test with [errors.Is].
var (
	// ErrNotProgram: no ELF file of a 64-bit program or library.
	ErrNotProgram = errors.New("not a 64-bit program or library")
	// ErrUnreadable: the file contradicts itself or is cut short.
	ErrUnreadable = errors.New("cannot be read")
	// ErrTooLarge: the file has more of something than is accepted.
	ErrTooLarge = errors.New("larger than is accepted")
)

// Limits on what is read into memory. They are some times what the largest
// programs of a distribution have (debuggable browsers: 1.5 million symbols).
const (
	maxSymbols     = 4 << 20
	maxStrings     = 128 << 20
	maxNotes       = 16 << 20 // bytes
	maxSectionName = 1 << 20  // bytes of all names
)

// Sizes of the 64-bit ELF structures (gABI, chapters 4 and 5).
const (
	headerSize        = 64
	programHeaderSize = 56
	sectionHeaderSize = 64
	symbolSize        = 24
)

// File is a program or library of which the frame has been read. It is good for
// as long as what it reads from is.
type File struct {
	// Machine it is for.
	Machine elf.Machine

	r        io.ReaderAt
	size     uint64
	order    binary.ByteOrder
	segments []segment // those that are loaded
	sections []section
	names    []byte // of sections
}

// segment is a part of the file that is mapped to memory.
type segment struct {
	address, offset, size uint64
	executable            bool
}

// section is one section header.
type section struct {
	name          uint32
	typ           elf.SectionType
	flags         elf.SectionFlag
	address       uint64
	offset, size  uint64
	link, entsize uint64
}

// Open reads the headers of the ELF file of size bytes in r. Errors wrap
// [ErrNotProgram], [ErrUnreadable] or what r answers.
func Open(r io.ReaderAt, size int64) (*File, error) {
	f := &File{r: r, size: uint64(max(size, 0))}
	if f.size < headerSize {
		return nil, ErrNotProgram
	}
	header, err := f.read(0, headerSize)
	if err != nil {
		return nil, err
	}
	switch {
	case !bytes.HasPrefix(header, []byte(elf.ELFMAG)), elf.Class(header[elf.EI_CLASS]) != elf.ELFCLASS64:
		return nil, ErrNotProgram
	case elf.Data(header[elf.EI_DATA]) == elf.ELFDATA2LSB:
		f.order = binary.LittleEndian
	case elf.Data(header[elf.EI_DATA]) == elf.ELFDATA2MSB:
		f.order = binary.BigEndian
	default:
		return nil, ErrNotProgram
	}
	if typ := elf.Type(f.order.Uint16(header[16:])); typ != elf.ET_EXEC && typ != elf.ET_DYN {
		return nil, ErrNotProgram
	}
	f.Machine = elf.Machine(f.order.Uint16(header[18:]))
	if err := f.readSegments(header); err != nil {
		return nil, err
	}
	return f, f.readSections(header)
}

// read reads a part of the file into memory.
func (f *File) read(offset, size uint64) ([]byte, error) {
	if offset > f.size || size > f.size-offset {
		return nil, fmt.Errorf("%w: %d bytes at %d are wanted of a file of %d", ErrUnreadable, size, offset, f.size)
	}
	b := make([]byte, size)
	if n, err := f.r.ReadAt(b, int64(offset)); n < len(b) {
		return nil, fmt.Errorf("reading at %d: %w", offset, err)
	}
	return b, nil
}

// table reads count records of a size that must be the one expected.
func (f *File) table(what string, offset uint64, size, want, count uint16) ([]byte, error) {
	if count > 0 && size != want {
		return nil, fmt.Errorf("%w: %s of %d bytes each", ErrUnreadable, what, size)
	}
	return f.read(offset, uint64(want)*uint64(count))
}

func (f *File) readSegments(header []byte) error {
	u := f.order
	table, err := f.table("program headers", u.Uint64(header[32:]), u.Uint16(header[54:]), programHeaderSize, u.Uint16(header[56:]))
	if err != nil {
		return err
	}
	for ; len(table) > 0; table = table[programHeaderSize:] {
		if elf.ProgType(u.Uint32(table)) != elf.PT_LOAD {
			continue
		}
		f.segments = append(f.segments, segment{
			executable: elf.ProgFlag(u.Uint32(table[4:]))&elf.PF_X != 0,
			offset:     u.Uint64(table[8:]),
			address:    u.Uint64(table[16:]),
			size:       u.Uint64(table[32:]),
		})
	}
	return nil
}

func (f *File) readSections(header []byte) error {
	u := f.order
	offset, size, count := u.Uint64(header[40:]), u.Uint16(header[58:]), u.Uint16(header[60:])
	if offset == 0 {
		return nil // stripped of them
	}
	table, err := f.table("section headers", offset, size, sectionHeaderSize, count)
	if err != nil {
		return err
	}
	for ; len(table) > 0; table = table[sectionHeaderSize:] {
		f.sections = append(f.sections, section{
			name:    u.Uint32(table),
			typ:     elf.SectionType(u.Uint32(table[4:])),
			flags:   elf.SectionFlag(u.Uint64(table[8:])),
			address: u.Uint64(table[16:]),
			offset:  u.Uint64(table[24:]),
			size:    u.Uint64(table[32:]),
			link:    uint64(u.Uint32(table[40:])),
			entsize: u.Uint64(table[56:]),
		})
	}
	return f.readSectionNames(u.Uint16(header[62:]))
}

// readSectionNames reads the names of all sections, of which section index is.
func (f *File) readSectionNames(index uint16) error {
	if int(index) >= len(f.sections) {
		return nil // without names
	}
	s := f.sections[index]
	if s.size > maxSectionName {
		return fmt.Errorf("%w: %d bytes of section names", ErrTooLarge, s.size)
	}
	names, err := f.read(s.offset, s.size)
	f.names = names
	return err
}

// named is the first section of a type and name.
func (f *File) named(typ elf.SectionType, name string) (section, bool) {
	for _, s := range f.sections {
		if s.typ == typ && text(f.names, uint64(s.name)) == name {
			return s, true
		}
	}
	return section{}, false
}

// text is the string that starts at offset and ends with a zero; "" when there
// is none.
func text(table []byte, offset uint64) string {
	if offset >= uint64(len(table)) {
		return ""
	}
	s, _, ok := bytes.Cut(table[offset:], []byte{0})
	if !ok {
		return ""
	}
	return string(s)
}

// place is where in the file an address of memory comes from; 0 if not there.
func (f *File) place(address uint64, executable bool) (offset uint64, ok bool) {
	for _, s := range f.segments {
		if s.executable == executable && address >= s.address && address-s.address < s.size {
			offset = s.offset + address - s.address
			if offset < s.offset || offset >= f.size {
				return 0, false // a segment that the file does not have
			}
			return offset, true
		}
	}
	return 0, false
}
