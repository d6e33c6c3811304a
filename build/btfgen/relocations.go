// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfgen

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// kind of a CO-RE relocation (linux/bpf.h, enum bpf_core_relo_kind).
type kind uint32

const (
	fieldByteOffset kind = iota
	fieldByteSize
	fieldExists
	fieldSigned
	fieldLShift
	fieldRShift
	typeIDLocal
	typeIDTarget
	typeExists
	typeSize
	enumvalExists
	enumvalValue
	typeMatches
)

// relocation is one record of .BTF.ext: what an instruction asks about a type.
type relocation struct {
	kind  kind
	local btf.Type
	// path leads to a field, by the indices of members and elements; for other
	// kinds it is the index of an enum's value, or 0.
	path []int
}

// Sizes of the structures in .BTF.ext (libbpf's btf.h: struct btf_ext_header,
// btf_ext_info_sec; linux/bpf.h: struct bpf_core_relo).
const (
	extHeaderSize  = 32 // with core_relo_off and core_relo_len
	extSectionSize = 8
	recordSize     = 16
)

// maxRelocations bounds those of one object; large ones have a few thousand.
const maxRelocations = 1 << 20

var errCutShort = errors.New("its CO-RE relocations are cut short")

// readRelocations returns the relocations of an object that inspect.Object
// accepted, each once.
func readRelocations(object []byte) ([]relocation, error) {
	file, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("reading its sections: %w", err)
	}
	types, ext := file.Section(".BTF"), file.Section(".BTF.ext")
	if types == nil || ext == nil {
		return nil, nil
	}
	typeData, err := types.Data()
	if err != nil {
		return nil, fmt.Errorf("reading section .BTF: %w", err)
	}
	extData, err := ext.Data()
	if err != nil {
		return nil, fmt.Errorf("reading section .BTF.ext: %w", err)
	}
	records, err := coreRecords(extData, file.ByteOrder)
	if err != nil || len(records) == 0 {
		return nil, err
	}
	text, err := stringTable(typeData, file.ByteOrder)
	if err != nil {
		return nil, err
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(typeData))
	if err != nil {
		return nil, fmt.Errorf("reading its types: %w", err)
	}
	return resolve(records, spec, text)
}

// record is a relocation with numbers for its type and path.
type record struct {
	typ, path uint32
	kind      kind
}

// coreRecords reads the part of .BTF.ext about relocations, without repetitions.
func coreRecords(data []byte, order binary.ByteOrder) ([]record, error) {
	if len(data) < extHeaderSize {
		return nil, nil // before there were CO-RE relocations (LLVM 10)
	}
	word := func(at int) uint64 { return uint64(order.Uint32(data[at:])) }
	header := word(4)
	if header < extHeaderSize {
		return nil, nil
	}
	start := header + word(24)
	end := start + word(28)
	if end > uint64(len(data)) {
		return nil, errCutShort
	}
	data = data[start:end]
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) < 4 || order.Uint32(data) != recordSize {
		return nil, errors.New("its CO-RE relocations are of another size")
	}
	var records []record
	seen := map[record]bool{}
	for rest := data[4:]; len(rest) > 0; {
		if len(rest) < extSectionSize {
			return nil, errCutShort
		}
		count := uint64(order.Uint32(rest[4:]))
		rest = rest[extSectionSize:]
		if count*recordSize > uint64(len(rest)) {
			return nil, errCutShort
		}
		for ; count > 0; count-- {
			r := record{typ: order.Uint32(rest[4:]), path: order.Uint32(rest[8:]), kind: kind(order.Uint32(rest[12:]))}
			rest = rest[recordSize:]
			if !seen[r] {
				seen[r] = true
				records = append(records, r)
			}
		}
		if len(records) > maxRelocations {
			return nil, fmt.Errorf("it has over %d CO-RE relocations", maxRelocations)
		}
	}
	return records, nil
}

// stringTable cuts the strings out of a .BTF section (linux/btf.h, struct
// btf_header).
func stringTable(data []byte, order binary.ByteOrder) ([]byte, error) {
	const headerSize = 24
	if len(data) < headerSize {
		return nil, errors.New("its types are cut short")
	}
	word := func(at int) uint64 { return uint64(order.Uint32(data[at:])) }
	start := word(4) + word(16)
	end := start + word(20)
	if end > uint64(len(data)) {
		return nil, errors.New("the names of its types are cut short")
	}
	return data[start:end], nil
}

// resolve looks types and paths up.
func resolve(records []record, spec *btf.Spec, text []byte) ([]relocation, error) {
	out := make([]relocation, 0, len(records))
	for _, r := range records {
		local, err := spec.TypeByID(btf.TypeID(r.typ))
		if err != nil {
			return nil, fmt.Errorf("a CO-RE relocation: type %d: %w", r.typ, err)
		}
		if uint64(r.path) >= uint64(len(text)) {
			return nil, fmt.Errorf("a CO-RE relocation of type %d has no path", r.typ)
		}
		s, _, _ := bytes.Cut(text[r.path:], []byte{0})
		path, err := parsePath(string(s))
		if err != nil {
			return nil, fmt.Errorf("a CO-RE relocation of type %d: %w", r.typ, err)
		}
		out = append(out, relocation{kind: r.kind, local: local, path: path})
	}
	return out, nil
}

// maxPath is how many steps libbpf follows (relo_core.h, BPF_CORE_SPEC_MAX_LEN).
const maxPath = 64

// parsePath reads "0:1:0".
func parsePath(s string) ([]int, error) {
	if strings.Count(s, ":") >= maxPath {
		return nil, fmt.Errorf("its path has more than %d steps", maxPath)
	}
	var path []int
	for step := range strings.SplitSeq(s, ":") {
		n, err := strconv.ParseUint(step, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("its path: %w", err)
		}
		path = append(path, int(n))
	}
	return path, nil
}
