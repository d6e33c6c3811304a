// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// withStaticProbe is a copy of a program, a 64-bit little-endian ELF file, with a
// note that says that there is a static probe (USDT) at an address: a new section
// at the end of the file, and behind it the table of sections with one more.
func withStaticProbe(program []byte, address uint64, provider, name, args string) []byte {
	const headerSize, nameSize = 64, 4 // of a section; of its name's offset
	out := bytes.Clone(program)
	le := binary.LittleEndian
	table, count, namesIndex := le.Uint64(out[40:]), le.Uint16(out[60:]), le.Uint16(out[62:])
	headers := bytes.Clone(out[table : table+headerSize*uint64(count)])

	// The names of sections move, too, with one more behind them.
	names := headers[headerSize*int(namesIndex):]
	size := le.Uint64(names[32:])
	nameAt := uint32(size)
	le.PutUint64(names[32:], size+uint64(len(".note.stapsdt\x00")))
	namesFrom := le.Uint64(names[24:])
	le.PutUint64(names[24:], uint64(len(out)))
	out = append(out, program[namesFrom:namesFrom+size]...)
	out = append(out, ".note.stapsdt\x00"...)

	note := probeNote(address, provider, name, args)
	section := make([]byte, headerSize)
	le.PutUint32(section, nameAt)
	le.PutUint32(section[nameSize:], uint32(elf.SHT_NOTE))
	le.PutUint64(section[24:], uint64(len(out)))
	le.PutUint64(section[32:], uint64(len(note)))
	out = append(out, note...)

	le.PutUint64(out[40:], uint64(len(out)))
	le.PutUint16(out[60:], count+1)
	return append(append(out, headers...), section...)
}

// probeNote is a note as systemtap's sys/sdt.h writes it, without a base section
// and a semaphore.
func probeNote(address uint64, provider, name, args string) []byte {
	le := binary.LittleEndian
	var desc []byte
	for _, word := range []uint64{address, 0, 0} {
		desc = le.AppendUint64(desc, word)
	}
	desc = append(desc, provider+"\x00"+name+"\x00"+args+"\x00"...)
	const owner, kind = "stapsdt\x00", 3
	var note []byte
	for _, word := range []int{len(owner), len(desc), kind} {
		note = le.AppendUint32(note, uint32(word))
	}
	return append(append(note, owner...), desc...)
}
