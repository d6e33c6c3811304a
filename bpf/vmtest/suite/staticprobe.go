// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
)

// withStaticProbe is a copy of a program for this machine with a note that says
// that there is a static probe (USDT) at a function: a new section at the end of
// the file, and behind it the table of sections with one more.
func withStaticProbe(program []byte, function, provider, name, args string) ([]byte, error) {
	const headerSize, nameSize = 64, 4 // of a section; of its name's offset
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		return nil, err
	}
	address, err := addressOf(f, function)
	if err != nil {
		return nil, err
	}
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
	return append(append(out, headers...), section...), nil
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

func addressOf(f *elf.File, function string) (uint64, error) {
	symbols, err := f.Symbols()
	if errors.Is(err, elf.ErrNoSymbols) {
		return 0, errors.New("the suite must be built with its symbol table")
	}
	for _, s := range symbols {
		if s.Name == function {
			return s.Value, nil
		}
	}
	return 0, fmt.Errorf("no function %q: %w", function, err)
}
