// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package probes

import (
	"debug/elf"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
)

// MaxArgs of a static probe: what sys/sdt.h has macros for.
const MaxArgs = 12

// ErrArgument: an argument is at a place that cannot be read from a probe, such
// as a floating-point register.
var ErrArgument = errors.New("argument that cannot be read")

// Arg says where one argument of a probe is when the probe is hit.
type Arg struct {
	Kind ArgKind
	// Size in bytes: 1, 2, 4 or 8. Signed values are extended by their sign.
	Size   int
	Signed bool
	// Value is the constant, or what is added to the address in memory.
	Value uint64
	// Register and Index are offsets into the machine's struct pt_regs, in bytes;
	// the value of Index is shifted left by Shift.
	Register, Index int
	Shift           uint8
}

// ArgKind says what the other fields of an [Arg] mean. The numbers are those of
// enum __bpf_usdt_arg_type in libbpf's usdt.bpf.h, Indexed since libbpf 1.7.
type ArgKind uint8

// Kinds of arguments.
const (
	Constant ArgKind = iota // Value
	Register                // the register's value
	Memory                  // what is at Register + Value
	Indexed                 // what is at Register + Index << Shift + Value
)

// syntax is how compilers for a machine write operands behind the "SIZE@".
type syntax struct {
	registers map[string]int
	// operand matches the size, one operand, and the blanks behind it. Its groups
	// are size; constant; register; offset, base, index and scale.
	operand *regexp.Regexp
}

// The operands: sizes are bytes, less than zero when signed.
var (
	// $-9, %eax, -20(%rbp), 8(%rax,%rbx,4)
	x86Operand = lazyregexp.New(`^(?P<size>-?[1248])@` +
		`(?:\$(?P<constant>-?\w+)|%(?P<register>\w+)|(?P<offset>[-+]?\w+)?\(%(?P<base>\w+)(?:,%(?P<index>\w+)(?:,(?P<scale>[1248]))?)?\))` +
		`(?:\s+|$)`)
	// -9, x4, [sp], [sp, 1204]
	arm64Operand = lazyregexp.New(`^(?P<size>-?[1248])@` +
		`(?:#?(?P<constant>-?\d\w*)|(?P<register>[a-z]\w*)|\[(?P<base>\w+)(?:,\s*#?(?P<offset>-?\w+))?\])` +
		`(?:\s+|$)`)
)

func syntaxOf(machine elf.Machine) (syntax, bool) {
	switch machine {
	case elf.EM_X86_64:
		return syntax{x86Registers(), x86Operand()}, true
	case elf.EM_AARCH64:
		return syntax{arm64Registers(), arm64Operand()}, true
	}
	return syntax{}, false
}

// ParseArgs reads [Probe.Args] of a file for machine, which is x86-64 or arm64.
// Errors wrap [ErrArgument].
func ParseArgs(machine elf.Machine, args string) ([]Arg, error) {
	s, ok := syntaxOf(machine)
	if !ok {
		return nil, fmt.Errorf("%w: how compilers for %s write them is not known", ErrArgument, machine)
	}
	var list []Arg
	for rest := strings.TrimLeft(args, " \t"); rest != ""; {
		if len(list) == MaxArgs {
			return nil, fmt.Errorf("%w: there are more than %d", ErrArgument, MaxArgs)
		}
		match := s.operand.FindStringSubmatch(rest)
		if match == nil {
			return nil, fmt.Errorf("%w: number %d in %q", ErrArgument, len(list)+1, args)
		}
		arg, err := s.parse(match)
		if err != nil {
			return nil, fmt.Errorf("%w: number %d in %q: %w", ErrArgument, len(list)+1, args, err)
		}
		list = append(list, arg)
		rest = rest[len(match[0]):]
	}
	return list, nil
}

// parse makes an argument of a match of s.operand.
func (s syntax) parse(match []string) (arg Arg, err error) {
	group := func(name string) string {
		if i := s.operand.SubexpIndex(name); i >= 0 {
			return match[i]
		}
		return ""
	}
	width := group("size")
	arg.Size = int(width[len(width)-1] - '0')
	arg.Signed = width[0] == '-'
	switch {
	case group("constant") != "":
		arg.Value, err = number(group("constant"))
	case group("register") != "":
		arg.Kind = Register
		arg.Register, err = s.register(group("register"))
	default:
		arg.Kind = Memory
		if arg.Register, err = s.register(group("base")); err == nil && group("offset") != "" {
			arg.Value, err = number(group("offset"))
		}
	}
	if index := group("index"); index != "" && err == nil {
		arg.Kind = Indexed
		arg.Shift = map[string]uint8{"2": 1, "4": 2, "8": 3}[group("scale")]
		arg.Index, err = s.register(index)
	}
	return arg, err
}

// number reads a constant of either sign as its 64 bits.
func number(text string) (uint64, error) {
	if n, err := strconv.ParseInt(text, 0, 64); err == nil {
		return uint64(n), nil
	}
	n, err := strconv.ParseUint(text, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", text)
	}
	return n, nil
}

func (s syntax) register(name string) (int, error) {
	offset, ok := s.registers[name]
	if !ok {
		return 0, fmt.Errorf("%q is no register that probes can read", name)
	}
	return offset, nil
}
