// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import "fmt"

// MaxObject is the largest object accepted, in bytes. The largest known BPF
// objects (Cilium's datapath) are below 4 MiB.
const MaxObject = 32 << 20

// The readers of debug/elf and cilium/ebpf trust an object to be as modest as a
// compiler makes it: they copy every name, allocate what a .bss section claims,
// and copy shared code and types once for each user. The limits below bound what
// MaxObject bytes can make them do; each is far above what the largest known
// objects need. check looks at all of them before those readers run.
const (
	// maxSections: one for each program and its relocations, and some twenty
	// more.
	maxSections = 8192
	// maxSymbols: functions, maps, variables; and, from old compilers, labels.
	maxSymbols = 1 << 17
	// maxRelocations of code, maps and data, whose entries are kept in memory.
	maxRelocations = 1 << 18
	// maxNames bounds the bytes of all names an ELF file or its type information
	// refers to. A name counts as often as it is referred to.
	maxNames = 16 << 20
	// maxExpansion bounds the bytes that zero-filled sections (.bss) ask for,
	// and those that symbols cover; symbols may overlap.
	maxExpansion = 2 * MaxObject
	// maxInstructions bounds the 8-byte instructions of all programs together,
	// each with a copy of the subprograms it calls. The kernel takes a million
	// for one program (BPF_COMPLEXITY_LIMIT_INSNS, linux/bpf.h).
	maxInstructions = 1 << 20
	// maxPrograms and maxMaps bound what a description lists. The kernel lets a
	// program use 64 maps (MAX_USED_MAPS, linux/bpf_verifier.h).
	maxPrograms = 4096
	maxMaps     = 4096
	// maxBTF bounds the bytes of a .BTF or .BTF.ext section; a whole kernel's
	// BTF has some 6 MiB.
	maxBTF = 8 << 20
	// maxTypes bounds how deep the BTF reader, which recurses, can go: as deep
	// as there are types. An object has the types it uses, some thousand.
	maxTypes = 1 << 16
	// maxTypeCopies bounds the types that are copied, once for each variable
	// that reaches them.
	maxTypeCopies = 1 << 20
	// maxString bounds one string of a BTF string table; source lines are the
	// longest. It is copied for each section a table of .BTF.ext lists.
	maxString = 64 << 10
	// maxAccessor bounds the steps of one CO-RE access path, as libbpf does
	// (BPF_CORE_SPEC_MAX_LEN, relo_core.h).
	maxAccessor = 64
)

// budget counts down what is left of a limit.
type budget struct {
	left int64
	what string
	max  int64
}

func newBudget(limit int64, what string) *budget {
	return &budget{left: limit, what: what, max: limit}
}

// spend takes n from the budget, which fails once it is overdrawn.
func (b *budget) spend(n int64) error {
	if n < 0 || n > b.left {
		return fmt.Errorf("%w: more than %d %s", ErrTooLarge, b.max, b.what)
	}
	b.left -= n
	return nil
}
