// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package probes

import (
	"bytes"
	"debug/elf"
	"fmt"
)

// What systemtap's sys/sdt.h, which other implementations follow, calls its
// note, and the empty section by which moved addresses are recognised.
const (
	noteSection = ".note.stapsdt"
	noteOwner   = "stapsdt\x00"
	noteType    = 3
	baseSection = ".stapsdt.base"
)

// More limits, on notes.
const (
	// maxProbes in one file. The Java virtual machine has about 1000.
	maxProbes = 1 << 16
	// maxName of a provider, a probe or a function; mangled C++ names are long.
	maxName = 4096
)

// Probe is one place of a static probe. A probe that was inlined has several.
type Probe struct {
	Provider, Name string
	// Args say where its arguments are, as the compiler wrote it; see [ParseArgs].
	Args string

	// Addresses in memory of the instruction, and of the counter that switches
	// the probe on, 0 for none.
	address, semaphore uint64
}

// Probes lists the static probes of the file in the order of their notes, nil
// when it has none.
func (f *File) Probes() ([]Probe, error) {
	s, ok := f.named(elf.SHT_NOTE, noteSection)
	if !ok {
		return nil, nil
	}
	if s.size > maxNotes || s.flags&elf.SHF_COMPRESSED != 0 {
		return nil, fmt.Errorf("%w: %d bytes of notes about probes", ErrTooLarge, s.size)
	}
	notes, err := f.read(s.offset, s.size)
	if err != nil {
		return nil, err
	}
	var list []Probe
	for len(notes) > 0 {
		desc, rest, err := f.nextNote(notes)
		if err != nil {
			return nil, err
		}
		notes = rest
		if desc == nil {
			continue
		}
		p, err := f.parseProbe(desc)
		if err != nil {
			return nil, err
		}
		if len(list) == maxProbes {
			return nil, fmt.Errorf("%w: more than %d probes", ErrTooLarge, maxProbes)
		}
		list = append(list, p)
	}
	return list, nil
}

// nextNote splits the first note off; desc is nil when it is about no probe.
func (f *File) nextNote(notes []byte) (desc, rest []byte, err error) {
	const header, align = 12, 4
	bad := fmt.Errorf("%w: a note about probes is cut short", ErrUnreadable)
	if len(notes) < header {
		return nil, nil, bad
	}
	// 32 bits each, so that sums of them fit in 64.
	ownerSize, descSize := uint64(f.order.Uint32(notes)), uint64(f.order.Uint32(notes[4:]))
	typ := f.order.Uint32(notes[8:])
	body := notes[header:]
	descStart := (ownerSize + align - 1) &^ (align - 1)
	descEnd := descStart + descSize
	if descEnd > uint64(len(body)) {
		return nil, nil, bad
	}
	next := min((descEnd+align-1)&^(align-1), uint64(len(body)))
	if typ == noteType && string(body[:ownerSize]) == noteOwner {
		desc = body[descStart:descEnd]
	}
	return desc, body[next:], nil
}

// parseProbe reads a note's content: three addresses (of the instruction, of
// the base section when the note was written, of the semaphore) and three
// strings.
func (f *File) parseProbe(desc []byte) (p Probe, err error) {
	const addresses = 3 * 8
	bad := fmt.Errorf("%w: a note about a probe lacks a part", ErrUnreadable)
	if len(desc) < addresses {
		return p, bad
	}
	p.address, p.semaphore = f.order.Uint64(desc), f.order.Uint64(desc[16:])
	// Prelinking moves sections, and not what notes say of them: code and
	// semaphore have moved as far as the base.
	if base, ok := f.named(elf.SHT_PROGBITS, baseSection); ok {
		moved := base.address - f.order.Uint64(desc[8:])
		p.address += moved
		if p.semaphore != 0 {
			p.semaphore += moved
		}
	}
	rest := desc[addresses:]
	for _, field := range []*string{&p.Provider, &p.Name, &p.Args} {
		value, after, ok := bytes.Cut(rest, []byte{0})
		if !ok || len(value) > maxName {
			return p, bad
		}
		*field, rest = string(value), after
	}
	return p, nil
}

// Place says where in the file the probe's instruction is, and the counter that
// switches it on (0 when it has none).
func (f *File) Place(p Probe) (offset, semaphore uint64, err error) {
	offset, ok := f.place(p.address, true)
	if !ok {
		return 0, 0, fmt.Errorf("%w: probe %q is at %#x, where the file has no code", ErrUnreadable, p.Provider+":"+p.Name, p.address)
	}
	if p.semaphore == 0 {
		return offset, 0, nil
	}
	semaphore, ok = f.place(p.semaphore, false)
	if !ok || semaphore == 0 {
		return 0, 0, fmt.Errorf("%w: the semaphore of probe %q is at %#x, where the file has no data", ErrUnreadable, p.Provider+":"+p.Name, p.semaphore)
	}
	return offset, semaphore, nil
}
