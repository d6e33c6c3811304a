// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"os"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/internal/btfvalue"
	"github.com/bpfimg/bpfimg/schemas"
)

// configure gives variables and maps what was asked for. It changes the parsed
// objects and nothing else.
func (p *plan) configure(opts RunOptions) error {
	done := map[*ebpf.VariableSpec]bool{}
	for _, s := range opts.Set {
		v, err := p.setVariable(s)
		if err != nil {
			return err
		}
		if done[v] {
			return fmt.Errorf("%w: variable %q is set twice", ErrSetting, s.Name)
		}
		done[v] = true
	}
	for _, name := range slices.Sorted(maps.Keys(opts.MaxEntries)) {
		o, bare, err := p.owner("map", name, (*object).mapNames)
		if err != nil {
			return err
		}
		if err := o.resize(bare, opts.MaxEntries[name]); err != nil {
			return err
		}
	}
	return nil
}

// setVariable gives one variable its value.
func (p *plan) setVariable(s schemas.VariableSetting) (*ebpf.VariableSpec, error) {
	o, name, err := p.owner("global variable", s.Name, (*object).variableNames)
	if err != nil {
		return nil, err
	}
	v := o.spec.Variables[name]
	if v.Type == nil {
		return nil, fmt.Errorf("%w: object %q has no type information, without which variable %q cannot be set: compile with -g", ErrSetting, o.file, s.Name)
	}
	data, err := btfvalue.Encode(v.Type.Type, s.Value, v.Value, binary.NativeEndian)
	if err == nil {
		err = v.Set(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: variable %q: %w", ErrSetting, s.Name, err)
	}
	return v, nil
}

// label is what the object is called in names like FILE/NAME.
func (o *object) label() string {
	return strings.TrimSuffix(strings.TrimSuffix(o.file, ".o"), ".bpf")
}

func (o *object) variableNames() []string { return slices.Sorted(maps.Keys(o.spec.Variables)) }

// mapNames are those of the maps a person wrote.
func (o *object) mapNames() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(o.spec.Maps)), compilerMade)
}

// compilerMade says whether a map is a data section (.rodata, .bss, .kconfig, …).
func compilerMade(mapName string) bool { return strings.Contains(mapName, ".") }

// owner finds the object that has something by that name, or by FILE/NAME.
func (p *plan) owner(what, name string, names func(*object) []string) (*object, string, error) {
	var found *object
	var bare string
	var candidates, all []string
	for _, o := range p.objects {
		for _, n := range names(o) {
			full := o.label() + "/" + n
			all = append(all, n)
			if name == n || name == full || name == o.file+"/"+n {
				found, bare = o, n
				candidates = append(candidates, full)
			}
		}
	}
	switch {
	case len(candidates) == 1:
		return found, bare, nil
	case len(candidates) > 1:
		return nil, "", fmt.Errorf("%w: several objects have a %s %q: give one of %s", ErrSetting, what, name, quoted(candidates))
	case len(all) == 0:
		return nil, "", fmt.Errorf("%w: the image has no %s %q, nor any other that could be set", ErrSetting, what, name)
	}
	return nil, "", fmt.Errorf("%w: the image has no %s %q; it has %s", ErrSetting, what, name, quoted(all))
}

// unsized are the map types whose size is not the map's own: the kernel wants 0
// for storage that belongs to sockets, tasks and the like, and 1 for struct_ops.
func unsized(t ebpf.MapType) bool {
	switch t {
	case ebpf.SkStorage, ebpf.InodeStorage, ebpf.TaskStorage, ebpf.CGroupStorage, ebpf.PerCPUCGroupStorage, ebpf.CgroupStorage, ebpf.StructOpsMap:
		return true
	}
	return false
}

// resize gives one map another size.
func (o *object) resize(name string, n uint32) error {
	spec := o.spec.Maps[name]
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: map %q (%s) cannot have %d entries: %s", ErrSetting, name, o.mapType(name, spec.Type), n, fmt.Sprintf(format, args...))
	}
	page := uint32(os.Getpagesize())
	switch {
	case n == 0:
		return fail("give at least 1")
	case unsized(spec.Type):
		return fail("maps of this type have no size of their own")
	case (spec.Type == ebpf.RingBuf || spec.Type == ebpf.UserRingbuf) && (n&(n-1) != 0 || n%page != 0):
		return fail("a ring buffer's size is in bytes, a power of two and whole pages of %d; %d would do", page, ringSize(n, page))
	}
	for _, kv := range spec.Contents {
		if at, ok := kv.Key.(uint32); ok && at >= n && keyIsIndex(spec.Type) {
			return fail("the object fills entry %d", at)
		}
	}
	if outer := o.outerOf(name); outer != "" && spec.Type == ebpf.Array && spec.Flags&flagInnerMap == 0 {
		return fail("it is an inner map of %q, whose inner arrays all have the size in the object", outer)
	}
	spec.MaxEntries = n
	return nil
}

// flagInnerMap is BPF_F_INNER_MAP of linux/bpf.h: inner arrays of any size.
const flagInnerMap = 1 << 12

// ringSize is the smallest size from n up that a ring buffer can have.
func ringSize(n, page uint32) uint64 {
	return max(uint64(page), 1<<bits.Len32(n-1))
}

// keyIsIndex says whether keys of maps of a type are 0 to max_entries-1.
func keyIsIndex(t ebpf.MapType) bool {
	switch t {
	case ebpf.Array, ebpf.PerCPUArray, ebpf.ProgramArray, ebpf.ArrayOfMaps, ebpf.PerfEventArray, ebpf.CGroupArray, ebpf.DevMap, ebpf.CPUMap, ebpf.XSKMap, ebpf.SockMap, ebpf.ReusePortSockArray:
		return true
	}
	return false
}

// outerOf is the map of maps that the object puts a map into, "" when none.
func (o *object) outerOf(name string) string {
	for outer, spec := range o.spec.Maps {
		for _, kv := range spec.Contents {
			if inner, ok := kv.Value.(string); ok && inner == name && spec.InnerMap != nil {
				return outer
			}
		}
	}
	return ""
}

// settleVariables writes the values of variables into the maps they are in, and
// leaves the loader none: it would map their memory, and hold the maps by that
// for as long as the process lives.
func (o *object) settleVariables() error {
	for name, v := range o.spec.Variables {
		spec := o.spec.Maps[v.SectionName]
		if spec == nil || len(spec.Contents) != 1 {
			return fmt.Errorf("object %q: variable %q is in %s, which has no content", o.file, name, v.SectionName)
		}
		data, ok := spec.Contents[0].Value.([]byte)
		if !ok || uint64(v.Offset)+uint64(len(v.Value)) > uint64(len(data)) {
			return fmt.Errorf("object %q: variable %q is not inside %s", o.file, name, v.SectionName)
		}
		copy(data[v.Offset:], v.Value)
	}
	o.spec.Variables = nil
	return nil
}
