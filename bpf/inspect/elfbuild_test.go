// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// testSection is a section of an object made by buildELF.
type testSection struct {
	name  string
	typ   elf.SectionType
	flags elf.SectionFlag
	data  []byte
	size  uint64 // for SHT_NOBITS
	info  uint32
}

// testSymbol refers to its section by position in buildELF's list.
type testSymbol struct {
	name        string
	typ         elf.SymType
	section     int
	value, size uint64
}

// buildELF writes a little-endian BPF object with the sections, a symbol table
// over them, and the string table.
func buildELF(sections []testSection, symbols []testSymbol) []byte {
	names := []byte{0}
	intern := func(s string) uint32 {
		at := len(names)
		names = append(append(names, s...), 0)
		return uint32(at)
	}
	le := binary.LittleEndian
	symtab := make([]byte, symbolSize)
	for _, s := range symbols {
		symtab = le.AppendUint32(symtab, intern(s.name))
		symtab = append(symtab, elf.ST_INFO(elf.STB_GLOBAL, s.typ), 0)
		symtab = le.AppendUint16(symtab, uint16(s.section+1))
		symtab = le.AppendUint64(symtab, s.value)
		symtab = le.AppendUint64(symtab, s.size)
	}
	symtabIndex := len(sections) + 1
	all := append([]testSection{{}}, sections...)
	all = append(all, testSection{name: ".symtab", typ: elf.SHT_SYMTAB, data: symtab}, testSection{name: ".strtab", typ: elf.SHT_STRTAB})

	headers := make([]elf.Section64, len(all))
	for i, s := range all {
		headers[i].Name = intern(s.name)
		headers[i].Type, headers[i].Flags, headers[i].Info = uint32(s.typ), uint64(s.flags), s.info
		headers[i].Addralign = 8
		switch s.typ {
		case elf.SHT_REL:
			headers[i].Link, headers[i].Entsize = uint32(symtabIndex), relocationSize
		case elf.SHT_SYMTAB:
			headers[i].Link, headers[i].Entsize = uint32(symtabIndex+1), symbolSize
		}
	}
	all[len(all)-1].data = names

	content := make([]byte, headerSize)
	for i, s := range all {
		headers[i].Off, headers[i].Size = uint64(len(content)), max(uint64(len(s.data)), s.size)
		content = append(content, s.data...)
	}
	header := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_BPF), Version: 1, Shoff: uint64(len(content)),
		Ehsize: headerSize, Shentsize: sectionHeaderSize, Shnum: uint16(len(all)), Shstrndx: uint16(len(all) - 1),
	}
	copy(header.Ident[:], elf.ELFMAG+"\x02\x01\x01")
	var out bytes.Buffer
	_ = binary.Write(&out, le, header) // a bytes.Buffer takes everything
	out.Write(content[headerSize:])
	_ = binary.Write(&out, le, headers)
	return out.Bytes()
}

// codeSection is a section of count instructions that do nothing, then exit.
func codeSection(name string, count int) testSection {
	code := bytes.Repeat([]byte{0xb7, 0, 0, 0, 0, 0, 0, 0}, count)
	copy(code[len(code)-instructionSize:], []byte{0x95, 0, 0, 0, 0, 0, 0, 0})
	return testSection{name: name, typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC | elf.SHF_EXECINSTR, data: code}
}

// tinyObject is the smallest object that is accepted, and more sections.
func tinyObject(more ...testSection) []byte {
	return buildELF(append([]testSection{codeSection("xdp", 2)}, more...),
		[]testSymbol{{name: "prog", typ: elf.STT_FUNC, size: 2 * instructionSize}})
}

// btfSection is a .BTF section of raw types and strings.
func btfSection(types []uint32, text string) testSection {
	le := binary.LittleEndian
	data := []byte{0x9f, 0xeb, 1, 0}
	for _, word := range []int{24, 0, 4 * len(types), 4 * len(types), len(text)} {
		data = le.AppendUint32(data, uint32(word))
	}
	for _, word := range types {
		data = le.AppendUint32(data, word)
	}
	return testSection{name: ".BTF", typ: elf.SHT_PROGBITS, data: append(data, text...)}
}
