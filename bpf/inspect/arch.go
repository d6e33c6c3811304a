// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"cmp"
	"encoding/binary"
	"path"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
)

// arch hints at the CPU the object was compiled for, as GOARCH: by the registers
// in its type information, else by the file name bpf2go gives its output. Most
// objects do not tell and run anywhere.
func arch(name string, spec *ebpf.CollectionSpec) string {
	hint := archOfRegisters(spec.Types)
	if hint == "" {
		hint = archOfFile(name)
	}
	if spec.ByteOrder != binary.ByteOrder(binary.BigEndian) {
		return hint
	}
	if big, ok := bigEndian[hint]; ok {
		return big
	}
	return hint
}

// bigEndian is the name of an architecture's big-endian variant, where it has
// another.
var bigEndian = map[string]string{"ppc64le": "ppc64", "mips64le": "mips64"}

// registers are field names of the structs that hold a task's registers which
// only one architecture has: arch/*/include/{asm,uapi/asm}/ptrace.h. Where the
// kernel and user space name a register differently, both are listed.
var registers = map[string]string{
	"r15":       "amd64",
	"orig_eax":  "386",
	"uregs":     "arm",
	"orig_x0":   "arm64",
	"pstate":    "arm64",
	"nip":       "ppc64le",
	"orig_gpr2": "s390x",
	"psw":       "s390x",
	"cp0_epc":   "mips64le",
	"epc":       "riscv64",
	"csr_era":   "loong64",
}

// archOfRegisters looks for struct pt_regs, which a program that reads registers
// carries, and for user_pt_regs, its part that user space may see.
func archOfRegisters(types *btf.Spec) string {
	if types == nil {
		return ""
	}
	for _, name := range []string{"pt_regs", "user_pt_regs"} {
		var regs *btf.Struct
		if err := types.TypeByName(name, &regs); err != nil {
			continue
		}
		for _, m := range regs.Members {
			if hint, ok := registers[m.Name]; ok {
				return hint
			}
		}
	}
	return ""
}

// fileArchs are what bpf2go ends file names with for one architecture (its -target
// option), and which that is on Linux.
var fileArchs = map[string]string{
	"x86_bpfel": "amd64", "arm64_bpfel": "arm64", "arm_bpfel": "arm", "s390_bpfeb": "s390x",
	"powerpc_bpfeb": "ppc64", "powerpc_bpfel": "ppc64le", "mips_bpfeb": "mips",
	"riscv_bpfel": "riscv64", "loongarch_bpfel": "loong64",
}

// archOfFile reads names such as counter_arm64_bpfel.o, and counter_bpfel_arm64.o
// as bpf2go once wrote it.
func archOfFile(name string) string {
	words := strings.Split(strings.TrimSuffix(path.Base(name), ".o"), "_")
	if len(words) < 3 { // "x86_bpfel" is one for little-endian CPUs that is called x86
		return ""
	}
	before, last := words[len(words)-2], words[len(words)-1]
	return cmp.Or(fileArchs[before+"_"+last], fileArchs[last+"_"+before])
}
