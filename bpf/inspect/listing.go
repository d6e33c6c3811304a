// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"fmt"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Listing is [Object], and beside it the instructions of every program by the
// program's name, one to a line, in the notation of cilium/ebpf: with the
// subprograms it calls behind it, with names in place of map and function
// numbers, and with the kernel types of CO-RE relocations. Two programs with the
// same lines do the same on the same kernel with the same maps and variables.
func Listing(name string, data []byte) (schemas.Object, map[string][]string, error) {
	obj, code, err := listing(name, data)
	if err != nil {
		return schemas.Object{}, nil, fmt.Errorf("object %q: %w", name, err)
	}
	return obj, code, nil
}

// listing is [Listing] without the name in its errors.
func listing(name string, data []byte) (obj schemas.Object, code map[string][]string, err error) {
	defer recoverParser(&err)
	obj, spec, err := object(name, data)
	if err != nil {
		return obj, nil, err
	}
	code = make(map[string][]string, len(spec.Programs))
	for program, p := range spec.Programs {
		code[program] = codeLines(p)
	}
	return obj, code, nil
}

func codeLines(p *ebpf.ProgramSpec) []string {
	lines := make([]string, 0, len(p.Instructions))
	for i := range p.Instructions {
		ins := &p.Instructions[i]
		// Where functions begin. The program's own name may change alone.
		if name := ins.Symbol(); name != "" && i > 0 {
			lines = append(lines, name+":")
		}
		lines = append(lines, codeLine(ins))
	}
	return lines
}

func codeLine(ins *asm.Instruction) string {
	line := fmt.Sprintf("%v", ins)
	if relo := btf.CORERelocationMetadata(ins); relo != nil {
		line += fmt.Sprintf(" ; %v", relo)
	}
	return line
}
