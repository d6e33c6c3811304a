// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package probes

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
	"testing"
)

// program writes a small ELF file: code at 0x1000 of memory and of the file,
// data at 0x3000 of memory and 0x2000 of the file, with notes and symbols.
type program struct {
	base    uint64 // address of .stapsdt.base
	notes   []byte
	symbols []byte
	strings []byte
}

const (
	codeAddress, codeSize = 0x1000, 0x1000
	dataAddress, dataFile = 0x3000, 0x2000
	dataSize              = 0x100
	noteFrom              = 0x500 // .stapsdt.base when notes were written
)

var le = binary.LittleEndian

func pad(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

// note adds one about a probe.
func (p *program) note(address, semaphore uint64, provider, name, args string) {
	var desc []byte
	for _, v := range []uint64{address, noteFrom, semaphore} {
		desc = le.AppendUint64(desc, v)
	}
	desc = append(desc, provider+"\x00"+name+"\x00"+args+"\x00"...)
	p.rawNote(noteOwner, noteType, desc)
}

func (p *program) rawNote(owner string, typ uint32, desc []byte) {
	p.notes = le.AppendUint32(p.notes, uint32(len(owner)))
	p.notes = le.AppendUint32(p.notes, uint32(len(desc)))
	p.notes = le.AppendUint32(p.notes, typ)
	p.notes = pad(append(p.notes, owner...))
	p.notes = pad(append(p.notes, desc...))
}

// symbol adds a global one; its section is 1 or, undefined, 0.
func (p *program) symbol(name string, typ elf.SymType, section uint16, address uint64) {
	p.anySymbol(name, byte(elf.STB_GLOBAL), typ, section, address)
}

func (p *program) anySymbol(name string, bind byte, typ elf.SymType, section uint16, address uint64) {
	if p.strings == nil {
		p.strings = []byte{0}
		p.symbols = make([]byte, symbolSize)
	}
	p.symbols = le.AppendUint32(p.symbols, uint32(len(p.strings)))
	p.symbols = append(p.symbols, bind<<4|byte(typ), 0)
	p.symbols = le.AppendUint16(p.symbols, section)
	p.symbols = le.AppendUint64(p.symbols, address)
	p.symbols = le.AppendUint64(p.symbols, 16)
	p.strings = append(p.strings, name+"\x00"...)
}

// bytes of the file.
func (p *program) bytes() []byte {
	file := make([]byte, dataFile+dataSize)
	type part struct {
		name    string
		typ     elf.SectionType
		address uint64
		link    uint32
		content []byte
	}
	parts := []part{
		{},
		{".text", elf.SHT_PROGBITS, codeAddress, 0, nil},
		{baseSection, elf.SHT_PROGBITS, p.base, 0, []byte{0}},
		{noteSection, elf.SHT_NOTE, 0, 0, p.notes},
		{".symtab", elf.SHT_SYMTAB, 0, 5, p.symbols},
		{".strtab", elf.SHT_STRTAB, 0, 0, p.strings},
		{".shstrtab", elf.SHT_STRTAB, 0, 0, nil},
	}
	var names, headers []byte
	for i := range parts {
		names = append(names, parts[i].name+"\x00"...)
	}
	parts[len(parts)-1].content = names
	for _, s := range parts {
		h := make([]byte, sectionHeaderSize)
		le.PutUint32(h, uint32(strings.Index(string(names), s.name+"\x00")))
		le.PutUint32(h[4:], uint32(s.typ))
		le.PutUint64(h[16:], s.address)
		le.PutUint64(h[24:], uint64(len(file)))
		le.PutUint64(h[32:], uint64(len(s.content)))
		le.PutUint32(h[40:], s.link)
		file = pad(append(file, s.content...))
		headers = append(headers, h...)
	}
	copy(file, elf.ELFMAG+"\x02\x01\x01")
	le.PutUint16(file[16:], uint16(elf.ET_DYN))
	le.PutUint16(file[18:], uint16(elf.EM_X86_64))
	le.PutUint64(file[32:], headerSize)
	le.PutUint64(file[40:], uint64(len(file)))
	le.PutUint16(file[54:], programHeaderSize)
	le.PutUint16(file[56:], 2)
	le.PutUint16(file[58:], sectionHeaderSize)
	le.PutUint16(file[60:], uint16(len(parts)))
	le.PutUint16(file[62:], uint16(len(parts)-1))
	load := func(at int, flags elf.ProgFlag, offset, address, size uint64) {
		h := file[at:]
		le.PutUint32(h, uint32(elf.PT_LOAD))
		le.PutUint32(h[4:], uint32(flags))
		le.PutUint64(h[8:], offset)
		le.PutUint64(h[16:], address)
		le.PutUint64(h[32:], size)
	}
	load(headerSize, elf.PF_R|elf.PF_X, codeAddress, codeAddress, codeSize)
	load(headerSize+programHeaderSize, elf.PF_R|elf.PF_W, dataFile, dataAddress, dataSize)
	return append(file, headers...)
}

func open(t testing.TB, data []byte) *File {
	t.Helper()
	f, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sample has functions and probes, good and bad.
func sample() *program {
	p := &program{base: noteFrom}
	p.symbol("main", elf.STT_FUNC, 1, codeAddress)
	p.symbol("tcp_open", elf.STT_FUNC, 1, codeAddress+0x10)
	p.symbol("tcp_close", elf.STT_FUNC, 1, codeAddress+0x20)
	p.symbol("tcp_shut", elf.STT_FUNC, 1, codeAddress+0x20) // the same place
	p.symbol("tcp_table", elf.STT_OBJECT, 1, dataAddress)
	p.symbol("tcp_import", elf.STT_FUNC, 0, 0)
	p.symbol("tcp_nowhere", elf.STT_FUNC, 1, 0x999999)
	p.symbol("tcp_data", elf.STT_FUNC, 1, dataAddress)
	p.anySymbol("main", byte(elf.STB_LOCAL), elf.STT_FUNC, 1, codeAddress+0x30)
	p.anySymbol("twice", byte(elf.STB_LOCAL), elf.STT_FUNC, 1, codeAddress+0x40)
	p.anySymbol("twice", byte(elf.STB_LOCAL), elf.STT_FUNC, 1, codeAddress+0x50)
	p.rawNote("GNU\x00", 3, []byte("build id"))
	p.note(codeAddress+0x42, 0, "app", "request", "-4@%edi 8@%rsi")
	p.note(codeAddress+0x80, dataAddress+2, "app", "reply", "")
	p.note(0x999999, 0, "app", "lost", "")
	p.note(codeAddress, codeAddress, "app", "odd", "")
	return p
}
