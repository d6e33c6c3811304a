// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/bpf/mapdump"
	"github.com/bpfimg/bpfimg/schemas"
)

// chooseMaps decides which maps of the old version the new one uses, and writes
// down what becomes of each.
func (u *updating) chooseMaps(fresh bool) error {
	u.done.Maps = nil
	var names []string
	for _, o := range u.plan.objects {
		for _, name := range slices.Sorted(maps.Keys(o.spec.Maps)) {
			full := u.plan.mapPrefix(o) + name
			names = append(names, full)
			change, err := u.chooseMap(o, name, full, fresh)
			if err != nil {
				return err
			}
			u.done.Maps = append(u.done.Maps, change)
		}
	}
	for _, mp := range u.old.Maps {
		if !slices.Contains(names, mp.Name) {
			u.done.Maps = append(u.done.Maps, MapChange{Map: mp.Name, Change: ChangeRemoved, Why: "the new image has no such map"})
		}
	}
	return nil
}

// chooseMap decides on one.
func (u *updating) chooseMap(o *object, name, full string, fresh bool) (MapChange, error) {
	i := slices.IndexFunc(u.old.Maps, func(mp schemas.InstanceMap) bool { return mp.Name == full })
	if i < 0 {
		return MapChange{Map: full, Change: ChangeAdded}, nil
	}
	change := MapChange{Map: full, Change: ChangeReplaced}
	spec := o.spec.Maps[name]
	if constant(name, spec) {
		change.Why = "it holds constants of the new version"
		return change, nil
	}
	if fresh {
		change.Why = "new maps were asked for: what it held is lost"
		return change, nil
	}
	was, err := openMapOf(u.old.Maps[i])
	if errors.Is(err, fs.ErrNotExist) {
		change.Why = "somebody removed its pin"
		return change, nil
	}
	if err != nil {
		return change, fmt.Errorf("opening map %q of instance %q: %w", full, u.old.Name, err)
	}
	keepTypes(spec)
	why, err := differs(spec, was)
	if err != nil || why != "" {
		change.Why = why + ": what it held is lost"
		return change, joined.Errors(err, was.Close())
	}
	if o.keep == nil {
		o.keep = map[string]*ebpf.Map{}
	}
	o.keep[name] = was
	change.Change = ChangeKept
	return change, nil
}

// kept says whether the new version uses a map of the old one.
func (u *updating) kept(name string) bool {
	return slices.ContainsFunc(u.done.Maps, func(c MapChange) bool { return c.Map == name && c.Change == ChangeKept })
}

// closeKept closes the kept maps: loading has opened them again for itself.
func (p *plan) closeKept() {
	for _, o := range p.objects {
		for _, mp := range o.keep {
			mp.Close()
		}
		o.keep = nil
	}
}

// constant says whether a map's content belongs to the code: read-only data, the
// kernel's configuration, operations made of programs, where the arguments of
// static probes are (libbpf's usdt.bpf.h).
func constant(name string, spec *ebpf.MapSpec) bool {
	return strings.HasPrefix(name, ".rodata") || name == inspect.KconfigMap || spec.Type == ebpf.StructOpsMap ||
		strings.HasPrefix(name, "__bpf_usdt_") ||
		spec.Flags&unix.BPF_F_RDONLY_PROG != 0
}

// isData says whether a map holds variables of a program.
func isData(name string) bool {
	return strings.HasPrefix(name, ".data") || strings.HasPrefix(name, ".bss")
}

// differs says in a few words what sets the definition of a map apart from the
// map there is, "" when nothing does.
func differs(spec *ebpf.MapSpec, was *ebpf.Map) (string, error) {
	if len(spec.Contents) > 0 && (spec.Type == ebpf.ProgramArray || spec.Type == ebpf.ArrayOfMaps || spec.Type == ebpf.HashOfMaps) {
		return "it holds programs or maps that the image gives it", nil
	}
	want := spec.Copy()
	if isData(spec.Name) {
		want.Flags |= was.Flags() & unix.BPF_F_MMAPABLE // the loader adds it where the kernel has it
	}
	if err := want.Compatible(was); errors.Is(err, ebpf.ErrMapIncompatible) {
		return "its definition has changed (" + strings.TrimSuffix(err.Error(), ": "+ebpf.ErrMapIncompatible.Error()) + ")", nil
	} else if err != nil {
		return "", fmt.Errorf("comparing map %q: %w", spec.Name, err)
	}
	info, err := was.Info()
	if err != nil {
		return "", fmt.Errorf("comparing map %q: %w", spec.Name, err)
	}
	if extra, ok := info.MapExtra(); ok && extra != spec.MapExtra {
		return fmt.Sprintf("its definition has changed (MapExtra: %d changed to %d)", extra, spec.MapExtra), nil
	}
	if spec.InnerMap != nil {
		return innerDiffers(spec.InnerMap, was)
	}
	return typesDiffer(spec, was)
}

// typesDiffer compares the C types of keys and values, where both are known. The
// variables of a program must be known: without, another layout of the same size
// would go unnoticed.
func typesDiffer(spec *ebpf.MapSpec, was *ebpf.Map) (string, error) {
	key, value, err := mapdump.Types(was)
	if err != nil && !errors.Is(err, unix.EPERM) {
		return "", fmt.Errorf("comparing map %q: %w", spec.Name, err)
	}
	if isData(spec.Name) && (value == nil || spec.Value == nil) {
		return "the layout of its variables is not known", nil
	}
	if !sameTypeIfKnown(key, spec.Key) {
		return "the type of its keys has changed", nil
	}
	if !sameTypeIfKnown(value, spec.Value) {
		if isData(spec.Name) {
			return "its variables have changed", nil
		}
		return "the type of its values has changed", nil
	}
	return "", nil
}

func sameTypeIfKnown(a, b btf.Type) bool {
	return isVoid(a) || isVoid(b) || sameType(a, b)
}

func isVoid(t btf.Type) bool {
	_, void := t.(*btf.Void)
	return t == nil || void
}

// innerDiffers compares the definition of the inner maps with one of them: the
// kernel does not tell what it was made for. Without one there is nothing to lose.
func innerDiffers(spec *ebpf.MapSpec, was *ebpf.Map) (string, error) {
	key, id := make([]byte, was.KeySize()), ebpf.MapID(0)
	if entries := was.Iterate(); !entries.Next(&key, &id) {
		return "it was empty, and what may go into it cannot be compared", entries.Err()
	}
	inner, err := ebpf.NewMapFromID(id)
	if err != nil {
		return "", fmt.Errorf("opening the map with id %d in map %q: %w", id, spec.Name, err)
	}
	defer inner.Close()
	return differs(spec, inner)
}
