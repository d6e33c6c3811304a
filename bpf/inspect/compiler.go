// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"bytes"
	"slices"
)

// maxProducer bounds the compiler's description of itself, in bytes; clang's is
// below 150.
const maxProducer = 512

// producers are how compilers that target BPF begin theirs, distributions'
// prefixes aside.
var producers = [][]byte{[]byte("clang version "), []byte("clang LLVM "), []byte("GNU C"), []byte("rustc version ")}

// compiler finds what the compiler says it is: in .comment, where C compilers
// leave it, else among the strings of the debug information. debug/dwarf cannot
// read that of a BPF object, since debug/elf does not apply BPF relocations; but
// the producer is the first string every compiler writes.
func compiler(f *elfFile) string {
	for _, name := range []string{".comment", ".debug_str"} {
		for i := range f.sections {
			if f.sections[i].name != name {
				continue
			}
			if p := producer(f.sections[i].bytes); p != "" {
				return p
			}
		}
	}
	return ""
}

// producer is the first string of a table, if it looks like a compiler's.
func producer(table []byte) string {
	first, _, _ := bytes.Cut(bytes.TrimLeft(table, "\x00"), []byte{0})
	if len(first) > maxProducer || !slices.ContainsFunc(producers, func(p []byte) bool { return bytes.Contains(first, p) }) {
		return ""
	}
	return string(first)
}
