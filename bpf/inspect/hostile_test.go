// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const counter = "../../examples/xdp-counter/counter.bpf.o"

// patched is a copy of data with bytes replaced at an offset.
func patched(data []byte, at int, with ...byte) []byte {
	out := bytes.Clone(data)
	copy(out[at:], with)
	return out
}

func TestRefused(t *testing.T) {
	good := read(t, counter)
	if _, err := Object("tiny.o", tinyObject()); err != nil {
		t.Fatal("the smallest object is refused, so nothing below means anything:", err)
	}
	for _, tc := range []struct {
		name string
		data []byte
		want error
		text string
	}{
		{"empty", nil, ErrNotBPF, "an empty file"},
		{"text", []byte("hello, world"), ErrNotBPF, "not an ELF file"},
		{"source", []byte("// SPDX\nint x;"), ErrNotBPF, "C source"},
		{"bitcode", []byte("BC\xC0\xDE\x35"), ErrNotBPF, "LLVM bitcode"},
		{"gzip", []byte("\x1f\x8b\x08"), ErrNotBPF, "gzip"},
		{"x86-64", patched(good, 18, 62, 0), ErrNotBPF, "an ELF file for x86-64"},
		{"arm64", patched(good, 18, 183, 0), ErrNotBPF, "an ELF file for arm64"},
		{"riscv", patched(good, 18, 243, 0), ErrNotBPF, "an ELF file for RISCV"},
		{"unknown machine", patched(good, 18, 0xff, 0xee), ErrNotBPF, "an ELF file for machine 61183"},
		{"executable", patched(good, 16, 2, 0), ErrNotBPF, "ET_EXEC"},
		{"32-bit", patched(good, elf.EI_CLASS, 1), ErrNotBPF, "not 64-bit"},
		{"byte order", patched(good, elf.EI_DATA, 9), ErrNotBPF, "byte order"},
		{"magic only", good[:4], ErrUnreadable, "cut short"},
		{"header cut", good[:40], ErrUnreadable, "cut short"},
		{"half", good[:len(good)/2], ErrUnreadable, "cut short: its section table ends at byte"},
		{"last byte", good[:len(good)-1], ErrUnreadable, "cut short"},
		{"no sections", patched(good, 40, make([]byte, 8)...), ErrUnreadable, "no sections"},
		{"section table far away", patched(good, 40, bytes.Repeat([]byte{0xff}, 8)...), ErrUnreadable, "cut short"},
		{"section header size", patched(good, 58, 1, 0), ErrUnreadable, "section headers of 1 bytes"},
		{"extended section count", patched(good, 60, 0, 0), ErrTooLarge, "sections"},
		{"section count", patched(good, 60, 0xff, 0xfe), ErrTooLarge, "sections"},
		{"section names elsewhere", patched(good, 62, 0xff, 0), ErrUnreadable, "no section 255"},
		{"over the limit", make([]byte, MaxObject+1), ErrTooLarge, "at most"},
		{"no programs", buildELF([]testSection{{name: "license", typ: elf.SHT_PROGBITS, data: []byte("GPL\x00")}}, nil), ErrNoPrograms, "SEC"},
		{"compressed", tinyObject(testSection{name: ".debug_info", typ: elf.SHT_PROGBITS, flags: elf.SHF_COMPRESSED}), ErrUnreadable, "compressed"},
		{"endless .bss", tinyObject(testSection{name: ".bss", typ: elf.SHT_NOBITS, size: 1 << 40}), ErrTooLarge, "zero-filled"},
		{"negative .bss", tinyObject(testSection{name: ".bss", typ: elf.SHT_NOBITS, size: 1 << 63}), ErrTooLarge, "zero-filled"},
		{"many .bss", tinyObject(slices.Repeat([]testSection{{name: ".bss", typ: elf.SHT_NOBITS, size: 1 << 20}}, 100)...), ErrTooLarge, "zero-filled"},
		{"two of one name", twoDataSections(), ErrUnreadable, `two sections ".rodata"`},
		{"overlap", overlapping(), ErrUnreadable, "overlap"},
		{"symbols over each other", manyViews(), ErrTooLarge, "covered by symbols"},
		{"long names", longNames(), ErrTooLarge, "symbol names"},
		{"linking bomb", linkingBomb(elf.STT_FUNC), ErrTooLarge, "after linking"},
		{"linking bomb of static functions", linkingBomb(elf.STT_SECTION), ErrTooLarge, "after linking"},
		{"linking bomb in one section", relativeBomb(), ErrTooLarge, "after linking"},
		{"kernel of code", buildELF([]testSection{codeSection("xdp", maxInstructions+1)}, []testSymbol{{name: "prog", typ: elf.STT_FUNC, size: (maxInstructions + 1) * instructionSize}}), ErrTooLarge, "instructions"},
		{"relocations", tinyObject(testSection{name: ".relxdp", typ: elf.SHT_REL, info: 1, data: make([]byte, (maxRelocations+1)*relocationSize)}), ErrTooLarge, "relocations"},
		{"deep types", tinyObject(btfSection(pointerChain(maxTypes+1), "\x00")), ErrTooLarge, "types"},
		{"BTF kind", tinyObject(btfSection([]uint32{0, 31 << 24, 0}, "\x00")), ErrUnreadable, "kind 31"},
		{"BTF cut", tinyObject(btfSection([]uint32{0, btfInt << 24}, "\x00")), ErrUnreadable, "cut short"},
		{"BTF header cut", tinyObject(testSection{name: ".BTF", typ: elf.SHT_PROGBITS, data: []byte{0x9f, 0xeb}}), ErrUnreadable, "cut short"},
		{"BTF string", tinyObject(btfSection(nil, "\x00"+strings.Repeat("a", maxString+1)+"\x00")), ErrTooLarge, "a string of"},
		{"BTF accessor", tinyObject(btfSection(nil, "\x00"+strings.Repeat("0:", maxAccessor)+"0\x00")), ErrTooLarge, "access path"},
		{"BTF names", tinyObject(namedTypes()), ErrTooLarge, "type names"},
		{"BTF copies", tinyObject(variablesBomb()), ErrTooLarge, "copies of types"},
		{"BTF type missing", tinyObject(btfSection([]uint32{0, btfPtr << 24, 2}, "\x00")), ErrUnreadable, "type 1 refers to type 2 of 1"},
		{"BTF.ext function of no type", extInfo(t, 8), ErrUnreadable, "types that its .BTF section does not have"},
		{"BTF.ext relocation of no type", extInfo(t, 24), ErrUnreadable, "types that its .BTF section does not have"},
		{"large BTF", tinyObject(testSection{name: ".BTF", typ: elf.SHT_PROGBITS, data: make([]byte, maxBTF+1)}), ErrTooLarge, ".BTF"},
		{"static map", read(t, filepath.Join(ciliumDir(t), "testdata/invalid_map_static-el.elf")), ErrUnreadable, "static"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Object("x.o", tc.data)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.text)
			}
			if err != nil && (!strings.HasPrefix(err.Error(), `object "x.o": `) || strings.Contains(err.Error(), "gave up")) {
				t.Errorf("not a clear error: %v", err)
			}
			if _, err := Load(tc.data); !errors.Is(err, tc.want) {
				t.Errorf("Load: got %v, want %v", err, tc.want)
			}
		})
	}
}

// extInfo is an object with CO-RE relocations whose first record in a table of
// .BTF.ext refers to no type. The table is the one whose start the header says at
// a byte (struct btf_ext_header of libbpf's btf.h: 8 functions, 24 relocations).
func extInfo(t *testing.T, start int) []byte {
	t.Helper()
	data := read(t, "../testdata/core.bpf.o")
	f, err := check(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range f.sections {
		if s.name != ".BTF.ext" {
			continue
		}
		word := func(at int) int { return int(f.order.Uint32(s.bytes[at:])) }
		// Behind the header: the size of a record, the section's name and how many,
		// the first record's instruction, its type.
		f.order.PutUint32(s.bytes[word(4)+word(start)+4+8+4:], 1<<20)
		return data
	}
	t.Fatal("no section .BTF.ext")
	return nil
}

// overlapping has two sections over all of the file.
func overlapping() []byte {
	data := tinyObject(testSection{name: "a", typ: elf.SHT_PROGBITS}, testSection{name: "b", typ: elf.SHT_PROGBITS})
	table := binary.LittleEndian.Uint64(data[40:])
	for _, i := range []uint64{2, 3} {
		h := data[table+i*sectionHeaderSize:]
		binary.LittleEndian.PutUint64(h[24:], 0)
		binary.LittleEndian.PutUint64(h[32:], uint64(len(data)))
	}
	return data
}

// twoDataSections has two sections that become maps of one name, of which readers
// would take either.
func twoDataSections() []byte {
	return buildELF([]testSection{
		codeSection("xdp", 2),
		{name: ".rodata", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, data: []byte{1, 0, 0, 0}},
		{name: ".rodata", typ: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, data: []byte{2, 0, 0, 0, 0, 0, 0, 0}},
	}, []testSymbol{
		{name: "prog", typ: elf.STT_FUNC, size: 2 * instructionSize},
		{name: "first", typ: elf.STT_OBJECT, section: 1, size: 4},
		{name: "second", typ: elf.STT_OBJECT, section: 2, size: 8},
	})
}

// manyViews has a thousand variables over the same mebibyte.
func manyViews() []byte {
	var symbols []testSymbol
	for i := range 1000 {
		symbols = append(symbols, testSymbol{name: fmt.Sprint("v", i), typ: elf.STT_OBJECT, size: 1 << 20})
	}
	return buildELF([]testSection{{name: ".bss", typ: elf.SHT_NOBITS, size: 1 << 20}}, symbols)
}

// longNames has a thousand symbols that share a name of a mebibyte.
func longNames() []byte {
	data := buildELF([]testSection{codeSection("xdp", 2)}, append([]testSymbol{{name: strings.Repeat("n", 1<<20)}}, make([]testSymbol, 1000)...))
	f, err := parseHeader(data)
	if err != nil || f.readSections() != nil {
		return nil
	}
	table := f.sections[2].bytes // a view into data
	for at := symbolSize; at < len(table); at += symbolSize {
		copy(table[at:], table[symbolSize:symbolSize+4])
	}
	return data
}

// linkingBomb has a thousand programs that call one large subprogram, by its
// symbol or (as for static functions) by its section and an offset.
func linkingBomb(typ elf.SymType) []byte {
	const size, programs = 100_000, 1000
	xdp := codeSection("xdp", 2*programs)
	symbols := []testSymbol{
		{name: "large", typ: elf.STT_FUNC, size: size * instructionSize},
		{typ: elf.STT_SECTION},
	}
	number := uint32(1 + slices.IndexFunc(symbols, func(s testSymbol) bool { return s.typ == typ }))
	var rel []byte
	for i := range programs {
		at := uint64(i * 2 * instructionSize)
		callAt(xdp.data, at, -1)
		symbols = append(symbols, testSymbol{name: fmt.Sprint("p", i), typ: elf.STT_FUNC, section: 1, value: at, size: 2 * instructionSize})
		rel = binary.LittleEndian.AppendUint64(rel, at)
		rel = binary.LittleEndian.AppendUint64(rel, elf.R_INFO(number, 10))
	}
	return buildELF([]testSection{codeSection(".text", size), xdp, {name: ".relxdp", typ: elf.SHT_REL, info: 2, data: rel}}, symbols)
}

// relativeBomb is the same in one section, whose calls need no relocation.
func relativeBomb() []byte {
	const size, programs = 100_000, 1000
	code := codeSection("xdp", size+2*programs)
	symbols := []testSymbol{{name: "large", typ: elf.STT_FUNC, size: size * instructionSize}}
	for i := range programs {
		at := uint64(size+2*i) * instructionSize
		callAt(code.data, at, -int32(size+2*i)-1)
		symbols = append(symbols, testSymbol{name: fmt.Sprint("p", i), typ: elf.STT_FUNC, value: at, size: 2 * instructionSize})
	}
	return buildELF([]testSection{code}, symbols)
}

// callAt writes a call and an exit.
func callAt(code []byte, at uint64, to int32) {
	copy(code[at:], []byte{opCall, pseudoCall << 4, 0, 0})
	binary.LittleEndian.PutUint32(code[at+4:], uint32(to))
	copy(code[at+instructionSize:], []byte{0x95, 0, 0, 0, 0, 0, 0, 0})
}

// pointerChain is n types, each a pointer to the next.
func pointerChain(n int) []uint32 {
	var types []uint32
	for i := range n {
		types = append(types, 0, btfPtr<<24, uint32(i+2))
	}
	types[len(types)-1] = 0
	return types
}

// namedTypes is many types with one long name.
func namedTypes() testSection {
	var types []uint32
	for range 1000 {
		types = append(types, 1, btfFwd<<24, 0)
	}
	return btfSection(types, "\x00"+strings.Repeat("n", maxString)+"\x00")
}

// variablesBomb is a .data section whose every variable reaches all types.
func variablesBomb() testSection {
	const chain, vars = 10_000, 1000
	types := pointerChain(chain)
	for range vars {
		types = append(types, 1, btfVar<<24, 1, 1)
	}
	types = append(types, 1, btfDatasec<<24|vars, 0)
	for i := range vars {
		types = append(types, uint32(chain+1+i), 0, 8)
	}
	return btfSection(types, "\x00.data\x00")
}

// TestDeepTypes gives the reader's recursion the most that is accepted.
func TestDeepTypes(t *testing.T) {
	types := append(pointerChain(maxTypes-2), 1, btfDatasec<<24|1, 8, 1, 0, 8)
	_, err := Object("deep.o", tinyObject(btfSection(types, "\x00.kconfig\x00")))
	if errors.Is(err, ErrTooLarge) {
		t.Fatal(err)
	}
}

// TestTruncated cuts an object at every length; none may panic, and none but the
// whole is accepted.
func TestTruncated(t *testing.T) {
	data := read(t, counter)
	for n := range len(data) {
		_, err := Object("cut.o", data[:n])
		if !errors.Is(err, ErrUnreadable) && !errors.Is(err, ErrNotBPF) {
			t.Fatalf("%d of %d bytes: %v", n, len(data), err)
		}
	}
}

// TestFlipped changes single bytes of an object, which damages every field of it
// once. Whatever comes of it, it is an answer.
func TestFlipped(t *testing.T) {
	data := read(t, counter)
	for at := range data {
		for _, with := range []byte{0xff, data[at] ^ 1} {
			_, err := Object("flipped.o", patched(data, at, with))
			if err != nil && !isOurs(err) {
				t.Fatalf("byte %d as %#x: %v wraps none of the errors", at, with, err)
			}
		}
	}
}

func isOurs(err error) bool {
	return slices.ContainsFunc([]error{ErrNotBPF, ErrUnreadable, ErrTooLarge, ErrNoPrograms}, func(e error) bool { return errors.Is(err, e) })
}

// TestPanicIsAnError covers the boundary itself: no input known to panic
// remains.
func TestPanicIsAnError(t *testing.T) {
	err := func() (err error) {
		defer recoverParser(&err)
		panic("index out of range")
	}()
	if !errors.Is(err, ErrUnreadable) || !strings.Contains(err.Error(), "index out of range") {
		t.Fatal(err)
	}
}

func FuzzObject(f *testing.F) {
	for _, path := range ownObjects(f) {
		data := read(f, path)
		f.Add(data)
		f.Add(data[:len(data)-1])
		f.Add(data[:len(data)*3/4])
	}
	dir := filepath.Join(ciliumDir(f), "testdata")
	for _, name := range []string{"kconfig-el.elf", "kfunc-el.elf", "struct_ops-el.elf", "subprog_reloc-eb.elf", "btf_map_init-el.elf", "loader_nobtf-el.elf"} {
		if data, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			f.Add(data)
		}
	}
	f.Add(tinyObject())
	f.Add(tinyObject(btfSection(pointerChain(10), "\x00")))
	f.Fuzz(func(t *testing.T, data []byte) {
		obj, err := Object("fuzz.o", data)
		if err != nil {
			if !isOurs(err) {
				t.Errorf("%v wraps none of the errors", err)
			}
			return
		}
		if len(obj.Programs) == 0 || obj.Size != int64(len(data)) {
			t.Errorf("accepted without programs, or with a size that is not its own: %+v", obj)
		}
	})
}
