// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/schemas"
)

// hookStructOps is the one hook whose attachments are named by maps.
const hookStructOps = "struct_ops"

// structOpsMaps are the maps of all objects that are attached as they are, by
// their recorded names, sorted.
func (p *plan) structOpsMaps() []string {
	return slices.DeleteFunc(p.mapNames(), func(name string) bool { return p.mapSpec(name).Type != ebpf.StructOpsMap })
}

// keepStructOps says whether a program is one of a struct_ops map, and has it
// loaded with the map. One that no map refers to is not loaded, as with libbpf:
// the kernel would not know what it is for.
func (o *object) keepStructOps(name string, asked bool) (bool, error) {
	spec := o.spec.Programs[name]
	if spec.Type != ebpf.StructOps {
		return false, nil
	}
	if asked {
		return false, fmt.Errorf("%w: program %q has no place of its own: it is attached with the struct_ops map it is in, by --attach MAP=struct_ops, or not, by MAP=none",
			ErrUsage, name)
	}
	if spec.AttachTo == "" {
		delete(o.spec.Programs, name)
	} else {
		o.programs = append(o.programs, name)
	}
	return true, nil
}

// placeStructOps plans the struct_ops maps, each attached unless it is given to
// none.
func (p *plan) placeStructOps(given map[string]schemas.Attachment) error {
	for _, o := range p.objects {
		if err := o.checkStructOps(); err != nil {
			return err
		}
	}
	for _, name := range p.structOpsMaps() {
		where, asked := given[name]
		if !asked || where.Hook == "" {
			where.Hook = hookStructOps
		}
		if where.Hook == hookNone {
			continue
		}
		h, info, err := findHook(where.Hook)
		if err != nil {
			return fmt.Errorf("map %q: %w", name, err)
		}
		pl := &placement{hook: h, info: info, given: asked, link: schemas.InstanceLink{
			Program: name, Map: name, Hook: where.Hook, Target: where.Target, Options: maps.Clone(where.Options), Via: viaLink,
		}}
		if where.Hook != hookStructOps {
			return pl.usage("%q is a struct_ops map, which only hook struct_ops takes", name)
		}
		if err := checkOptions(pl); err != nil {
			return err
		}
		p.placements = append(p.placements, pl)
	}
	return nil
}

// checkStructOps refuses two maps of one type in an object: the loader finds the
// programs of a map by its type, and would mix them up.
func (o *object) checkStructOps() error {
	seen := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(o.spec.Maps)) {
		m := o.spec.Maps[name]
		value, ok := btf.As[*btf.Struct](m.Value)
		if m.Type != ebpf.StructOpsMap || !ok {
			continue
		}
		if other, dup := seen[value.Name]; dup {
			return fmt.Errorf("object %q: struct_ops maps %q and %q are both of type %q; put each into an object of its own",
				o.file, other, name, value.Name)
		}
		seen[value.Name] = name
	}
	return nil
}
