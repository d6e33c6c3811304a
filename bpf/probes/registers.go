// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package probes

import "strconv"

// x86Registers are the general registers of x86-64 by all their names, with
// their offset in struct pt_regs (arch/x86/include/uapi/asm/ptrace.h).
func x86Registers() map[string]int {
	registers := map[string]int{}
	for i, names := range [][]string{
		{"r15", "r15d", "r15w", "r15b"},
		{"r14", "r14d", "r14w", "r14b"},
		{"r13", "r13d", "r13w", "r13b"},
		{"r12", "r12d", "r12w", "r12b"},
		{"rbp", "ebp", "bp", "bpl"},
		{"rbx", "ebx", "bx", "bl"},
		{"r11", "r11d", "r11w", "r11b"},
		{"r10", "r10d", "r10w", "r10b"},
		{"r9", "r9d", "r9w", "r9b"},
		{"r8", "r8d", "r8w", "r8b"},
		{"rax", "eax", "ax", "al"},
		{"rcx", "ecx", "cx", "cl"},
		{"rdx", "edx", "dx", "dl"},
		{"rsi", "esi", "si", "sil"},
		{"rdi", "edi", "di", "dil"},
		{}, // orig_rax
		{"rip", "eip"},
		{}, // cs
		{}, // eflags
		{"rsp", "esp", "sp", "spl"},
	} {
		for _, name := range names {
			registers[name] = 8 * i
		}
	}
	return registers
}

// arm64Registers are the general registers of arm64 by both their names, with
// their offset in struct user_pt_regs (arch/arm64/include/uapi/asm/ptrace.h).
func arm64Registers() map[string]int {
	const count = 31
	registers := map[string]int{"sp": 8 * count}
	for i := range count {
		registers["x"+strconv.Itoa(i)] = 8 * i
		registers["w"+strconv.Itoa(i)] = 8 * i
	}
	return registers
}
