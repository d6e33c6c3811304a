// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"io"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// nothing to close.
type nothing struct{}

// Close does nothing.
func (nothing) Close() error { return nil }

// answerCookies answers LINUX_HAS_BPF_COOKIE, which objects with libbpf's
// usdt.bpf.h ask of their loader: whether the kernel has BPF cookies. Ours knows
// other such variables and not this one, so it is read from a map of our own,
// which is to be closed when the programs are loaded: they hold it.
func answerCookies(spec *ebpf.CollectionSpec) (io.Closer, error) {
	forgetCookies(spec)
	var loads []*asm.Instruction
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			ins := &p.Instructions[i]
			if ins.OpCode.IsDWordLoad() && ins.Src == asm.PseudoMapValue && ins.Reference() == "" && ins.Constant == inspect.CookieLoad {
				loads = append(loads, ins)
			}
		}
	}
	if len(loads) == 0 {
		return nothing{}, nil
	}
	answer, err := answerMap(havePerfLinks()) // which came with cookies
	if err != nil {
		return nil, err
	}
	for _, ins := range loads {
		*ins = replaceLoad(*ins)
		if err := ins.AssociateMap(answer); err != nil {
			return nil, join(fmt.Errorf("answering LINUX_HAS_BPF_COOKIE: %w", err), answer.Close())
		}
	}
	return answer, nil
}

// forgetCookies takes the variable from those the loader answers; it would look
// for it in the kernel's configuration.
func forgetCookies(spec *ebpf.CollectionSpec) {
	var section *btf.Datasec
	if spec.Types == nil || spec.Types.TypeByName(".kconfig", &section) != nil {
		return
	}
	kept := section.Vars[:0]
	for _, v := range section.Vars {
		if variable, ok := v.Type.(*btf.Var); !ok || variable.Name != "LINUX_HAS_BPF_COOKIE" {
			kept = append(kept, v)
		}
	}
	section.Vars = kept
}

// replaceLoad is a load of the start of a map's value with all that belongs to
// ins but the variable.
func replaceLoad(ins asm.Instruction) asm.Instruction {
	load := asm.LoadMapValue(ins.Dst, 0, 0).WithSource(ins.Source())
	if name := ins.Symbol(); name != "" {
		load = load.WithSymbol(name)
	}
	if fn := btf.FuncMetadata(&ins); fn != nil {
		load = btf.WithFuncMetadata(load, fn)
	}
	return load
}

// answerMap is a map of one value that cannot change, 1 for yes, so that the
// verifier takes it for a constant.
func answerMap(yes bool) (*ebpf.Map, error) {
	value := make([]byte, 8)
	if yes {
		value[0] = 1
	}
	const readOnlyForPrograms = 1 << 7 // BPF_F_RDONLY_PROG of linux/bpf.h
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "kconfig", Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(value)), MaxEntries: 1,
		Flags: readOnlyForPrograms, Contents: []ebpf.MapKV{{Key: uint32(0), Value: value}},
	})
	if err != nil {
		return nil, fmt.Errorf("answering LINUX_HAS_BPF_COOKIE: %w", err)
	}
	if err := m.Freeze(); err != nil {
		return nil, join(fmt.Errorf("answering LINUX_HAS_BPF_COOKIE: %w", err), m.Close())
	}
	return m, nil
}
