// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/schemas"
)

// flagSleepable is BPF_F_SLEEPABLE of linux/bpf.h.
const flagSleepable = 1 << 4

// describer holds what the description of every program takes.
type describer struct {
	hooks []HookInfo
	maps  map[string]*ebpf.MapSpec
	// weak are the names of what the object does without.
	weak      map[string]bool
	variables places
	questions *questions
	// runConfigs are what the source says of the order of XDP programs.
	runConfigs runConfigs
}

// describePrograms describes every program, sorted by name. weak are the names of
// what the object does without.
func describePrograms(spec *ebpf.CollectionSpec, weak map[string]bool) []schemas.Program {
	out := make([]schemas.Program, 0, len(spec.Programs))
	d := describer{hooks: Hooks(), maps: spec.Maps, weak: weak, variables: variablePlaces(spec), questions: newQuestions(), runConfigs: readRunConfigs(spec)}
	for _, p := range spec.Programs {
		out = append(out, d.program(p))
	}
	slices.SortFunc(out, func(a, b schemas.Program) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (d describer) program(p *ebpf.ProgramSpec) schemas.Program {
	out := schemas.Program{
		Name:         p.Name,
		Type:         programType(p.Type),
		AttachType:   attachType(p),
		Section:      p.SectionName,
		Instructions: instructions(p.Instructions),
		License:      p.License,
		Sleepable:    p.Flags&flagSleepable != 0,
		TailCalls:    tailCalls(p.Instructions, d.maps),
		Variables:    d.variables.used(p.Instructions),
	}
	out.Hook, out.Target, out.Options = hookOf(d.hooks, out.Type, out.AttachType, out.Section)
	if out.Hook == hookXDP && out.Options == nil {
		out.Options = d.runConfigs.options(p.Name)
	}
	out.Helpers, out.Kfuncs = calls(p.Instructions)
	needed := needs{}
	needed.ofProgram(p, d.maps, d.weak)
	out.Adaptive = d.questions.in(p.Instructions, d.weak)
	out.Features, out.MinKernel = needed, needed.minKernel()
	return out
}

// attachType is libbpf's name of the program's attach type, "" when its section
// names none. The kernel's number 0 is also a real attach type, of one section.
func attachType(p *ebpf.ProgramSpec) string {
	if p.AttachType == 0 && !strings.HasPrefix(strings.TrimPrefix(p.SectionName, "?"), "cgroup_skb/ingress") {
		return ""
	}
	return attachTypeName(p.AttachType)
}

// instructions counts the 8-byte instructions of the program's own function; the
// parser has appended the subprograms it calls, each starting with a symbol.
func instructions(insns asm.Instructions) int {
	n := 0
	for i := range insns {
		if i > 0 && insns[i].Symbol() != "" {
			break
		}
		n += int(insns[i].Width())
	}
	return n
}

// calls lists the helpers and kfuncs a program and its subprograms call, sorted
// and once each.
func calls(insns asm.Instructions) (helpers, kfuncs []string) {
	for i := range insns {
		switch ins := &insns[i]; {
		case ins.IsBuiltinCall():
			helpers = append(helpers, helperName(ins.Constant))
		case ins.IsKfuncCall():
			kfuncs = append(kfuncs, kfuncName(ins))
		}
	}
	slices.Sort(helpers)
	slices.Sort(kfuncs)
	return slices.Compact(helpers), slices.Compact(kfuncs)
}

// kfuncName is the name of a kernel function that an instruction calls, or
// "unknown#N" when the object gives a number for one kernel's types in place of a
// name. Whatever symbol such an object names beside it, the kernel goes by the
// number; where a name counts the reader has put -1 there.
func kfuncName(ins *asm.Instruction) string {
	if name := ins.Reference(); name != "" && ins.Constant == -1 {
		return name
	}
	return fmt.Sprintf("unknown#%d", ins.Constant)
}

// hasCORE says whether any instruction is to be adjusted to the kernel's types.
func hasCORE(spec *ebpf.CollectionSpec) bool {
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if btf.CORERelocationMetadata(&p.Instructions[i]) != nil {
				return true
			}
		}
	}
	return false
}
