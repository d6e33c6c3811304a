// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"bytes"
	"debug/elf"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// Variables declared `extern … __kconfig` are values of the kernel's
// configuration. They exist in BTF alone, in a data section that no ELF section
// stands for. The parser of cilium/ebpf fills them in by itself when it loads,
// but refuses weak ones and knows fewer names than libbpf. So the section is hidden
// from it, and what it would have made of it is made here.
const (
	// KconfigMap is the map of the `extern … __kconfig` variables. [Load] makes it
	// without content, and its value type is a [btf.Datasec] with the variables.
	KconfigMap = ".kconfig"
	// hiddenKconfig is what the parser sees; no section can be called so in C.
	hiddenKconfig = ":kconfig"
	// flagReadOnlyProgram is BPF_F_RDONLY_PROG of linux/bpf.h.
	flagReadOnlyProgram = 1 << 7
)

// withoutKconfig is the file with the section of that name called otherwise. It
// also gets a size, without which the parser would look for the ELF section.
func (f *elfFile) withoutKconfig() []byte {
	if f.btf == nil {
		return f.data
	}
	i := slices.IndexFunc(f.btf.datasecs, func(d datasec) bool { return d.name == KconfigMap })
	if i < 0 {
		return f.data
	}
	d := f.btf.datasecs[i]
	data := slices.Clone(f.data)
	copy(data[f.btf.stringsAt+uint64(d.nameAt):], hiddenKconfig)
	f.order.PutUint32(data[f.btf.typesAt+uint64(d.at)+8:], 1)
	return data
}

// addKconfig makes the map of the variables, and the instructions refer to it.
func addKconfig(spec *ebpf.CollectionSpec) error {
	if spec.Types == nil {
		return nil
	}
	var section *btf.Datasec
	if err := spec.Types.TypeByName(hiddenKconfig, &section); err != nil {
		return nil // none of that name, or several: then nothing refers to it
	}
	if spec.Maps[KconfigMap] != nil {
		return fmt.Errorf("it has a section %s of its own", KconfigMap)
	}
	section, err := layOut(section)
	if err != nil {
		return err
	}
	spec.Maps[KconfigMap] = &ebpf.MapSpec{
		Name: KconfigMap, Type: ebpf.Array, KeySize: 4, ValueSize: section.Size, MaxEntries: 1,
		Flags: flagReadOnlyProgram, Key: &btf.Void{}, Value: section,
	}
	offsets := make(map[string]uint32, len(section.Vars))
	for _, v := range section.Vars {
		offsets[v.Type.TypeName()] = v.Offset
	}
	for _, p := range spec.Programs {
		referToKconfig(p.Instructions, offsets)
	}
	return nil
}

// layOut is the section with its variables one behind the other; compilers leave
// all of them at 0.
func layOut(hidden *btf.Datasec) (*btf.Datasec, error) {
	section := &btf.Datasec{Name: KconfigMap}
	for _, v := range hidden.Vars {
		variable, ok := v.Type.(*btf.Var)
		if !ok {
			return nil, fmt.Errorf("%s has a %T among its variables", KconfigMap, v.Type)
		}
		size, err := btf.Sizeof(variable.Type)
		if err != nil || size <= 0 || size > maxExpansion || section.Size > maxExpansion {
			return nil, fmt.Errorf("kernel option %q has no size", variable.Name)
		}
		align := alignment(variable.Type)
		at := (section.Size + align - 1) / align * align
		// The kernel knows no variable but defined ones.
		defined := &btf.Var{Name: variable.Name, Type: variable.Type, Linkage: btf.GlobalVar}
		section.Vars = append(section.Vars, btf.VarSecinfo{Type: defined, Offset: at, Size: uint32(size)})
		section.Size = at + uint32(size)
	}
	if section.Size == 0 {
		return nil, fmt.Errorf("%s has no variables", KconfigMap)
	}
	return section, nil
}

// alignment of the type of an option: a number, or text.
func alignment(t btf.Type) uint32 {
	if a, ok := btf.As[*btf.Array](t); ok {
		t = a.Type
	}
	size, err := btf.Sizeof(t)
	if err != nil || size < 1 || size > 8 {
		return 8
	}
	return uint32(size)
}

// referToKconfig turns references to a variable into references into the map.
func referToKconfig(insns asm.Instructions, offsets map[string]uint32) {
	for i := range insns {
		ins := &insns[i]
		at, ok := offsets[ins.Reference()]
		if !ok || !ins.OpCode.IsDWordLoad() || ins.Src != asm.R0 {
			continue
		}
		*ins = ins.WithReference(KconfigMap)
		ins.Src = asm.PseudoMapValue
		ins.Constant = int64(uint64(at) << 32)
	}
}

// WeakSymbols are the names of what the object declares `extern … __weak`: it
// does without where there is none. Errors are those of [Load].
func WeakSymbols(data []byte) (map[string]bool, error) {
	f, err := check(data)
	if err != nil {
		return nil, err
	}
	return f.weakSymbols(), nil
}

// weakSymbols is [WeakSymbols] of a file that is read already.
func (f *elfFile) weakSymbols() map[string]bool {
	weak := map[string]bool{}
	for _, s := range f.symbols {
		if s.bind == elf.STB_WEAK && s.section == int(elf.SHN_UNDEF) && len(bytes.TrimSpace(s.name)) > 0 {
			weak[string(s.name)] = true
		}
	}
	return weak
}
