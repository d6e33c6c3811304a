// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/schemas"
)

// loaded is what the kernel holds of a plan, in load order. Nothing of it
// outlives the process unless it is pinned.
type loaded struct {
	collections []*ebpf.Collection
	programs    []loadedProgram
	maps        []loadedMap
}

type loadedProgram struct {
	schemas.InstanceProgram
	prog *ebpf.Program
}

type loadedMap struct {
	schemas.InstanceMap
	m *ebpf.Map
}

// Close releases everything that is not pinned or attached.
func (l *loaded) Close() {
	for _, c := range l.collections {
		c.Close()
	}
}

// program looks one up by name.
func (l *loaded) program(name string) *ebpf.Program {
	for _, p := range l.programs {
		if p.Name == name {
			return p.prog
		}
	}
	return nil
}

// mapNamed looks one up by the name in the record.
func (l *loaded) mapNamed(name string) *loadedMap {
	for i := range l.maps {
		if l.maps[i].Name == name {
			return &l.maps[i]
		}
	}
	return nil
}

// load creates the maps and loads the programs of all objects. Each object is
// its own world: maps of the same name in two objects are two maps.
func (p *plan) load() (*loaded, error) {
	if err := raiseMemlock(); err != nil {
		return nil, err
	}
	l, err := p.loadOnce()
	if err == nil {
		return l, nil
	}
	told := p.standAlone()
	if told == nil {
		return nil, p.asComponents(err)
	}
	// Where that was not the reason, this says what is.
	l, again := p.loadOnce()
	if again == nil {
		for _, tell := range told {
			tell(err)
		}
	}
	return l, again
}

// asComponents adds to an error that programs were loaded as parts of something.
func (p *plan) asComponents(err error) error {
	for _, pl := range p.placements {
		if pl.link.Via == viaDispatcher {
			return fmt.Errorf("%w (program %q was to share %q with other XDP programs)", err, pl.link.Program, pl.link.Target)
		}
	}
	return err
}

func (p *plan) loadOnce() (*loaded, error) {
	l := &loaded{}
	if err := p.loadObjects(l); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// standAlone has the programs that were to be parts of something be loaded to be
// attached by themselves. It returns what tells why, nil when there were none.
func (p *plan) standAlone() (told []func(reason error)) {
	for _, pl := range p.placements {
		if pl.alone != nil {
			told = append(told, pl.alone())
		}
	}
	return told
}

// loadObjects adds to l, object by object.
func (p *plan) loadObjects(l *loaded) error {
	cache := btf.NewCache()
	for _, o := range p.objects {
		coll, err := o.load(cache, p)
		if err != nil {
			return err
		}
		l.collections = append(l.collections, coll)
		if err := l.describe(o, coll, p.mapPrefix(o)); err != nil {
			return err
		}
	}
	return nil
}

// load loads one object of the plan.
func (o *object) load(cache *btf.Cache, p *plan) (coll *ebpf.Collection, err error) {
	defer recoverTypes(&err)
	for _, m := range o.spec.Maps {
		// LIBBPF_PIN_BY_NAME asks for a pin; all maps are pinned anyway, in the
		// instance's own folder.
		m.Pinning = ebpf.PinNone
		keepTypes(m)
	}
	if err := o.settleVariables(); err != nil {
		return nil, err
	}
	o.matchTails()
	bare, err := o.addEntries(p.placements)
	if err != nil {
		return nil, err
	}
	opts := ebpf.CollectionOptions{
		Cache: cache, MapReplacements: o.replacements(), Programs: ebpf.ProgramOptions{KernelTypes: p.types},
	}
	coll, err = ebpf.NewCollectionWithOptions(o.spec, opts)
	if err != nil {
		err = o.entryError(err, bare, opts)
		o.removeEntries(bare) // it may be loaded again
		return nil, err
	}
	return coll, nil
}

// keepTypes gives an array whose key is, say, an enum a plain integer for a key:
// the kernel takes no other (array_map_check_btf) and the loader would drop the
// types of key and value alike, with which the values would be unreadable.
func keepTypes(m *ebpf.MapSpec) {
	if (m.Type != ebpf.Array && m.Type != ebpf.PerCPUArray) || m.Key == nil || m.Value == nil {
		return
	}
	if _, isInt := btf.As[*btf.Int](m.Key); !isInt && m.KeySize == 4 {
		m.Key = &btf.Int{Name: "unsigned int", Size: 4}
	}
}

// describe adds what the kernel says of coll to l.
func (l *loaded) describe(o *object, coll *ebpf.Collection, prefix string) error {
	for _, name := range o.programs {
		prog := coll.Programs[name]
		if prog == nil {
			return fmt.Errorf("object %q: program %q was not loaded", o.file, name)
		}
		info, err := prog.Info()
		if err != nil {
			return fmt.Errorf("reading back program %q: %w", name, err)
		}
		id, _ := info.ID()
		i := slices.IndexFunc(o.desc.Programs, func(d schemas.Program) bool { return d.Name == name })
		l.programs = append(l.programs, loadedProgram{prog: prog, InstanceProgram: schemas.InstanceProgram{
			Name: name, Type: o.desc.Programs[i].Type, ID: uint32(id), Tag: info.Tag,
		}})
	}
	for _, name := range slices.Sorted(maps.Keys(coll.Maps)) {
		info, err := coll.Maps[name].Info()
		if err != nil {
			return fmt.Errorf("reading back map %q: %w", name, err)
		}
		id, _ := info.ID()
		l.maps = append(l.maps, loadedMap{m: coll.Maps[name], InstanceMap: schemas.InstanceMap{
			Name: prefix + name, Type: o.mapType(name, info.Type), ID: uint32(id), MaxEntries: info.MaxEntries,
			Shared: o.borrowed[name].from,
		}})
	}
	return nil
}

// mapType in libbpf's spelling.
func (o *object) mapType(name string, t ebpf.MapType) string {
	for _, m := range o.desc.Maps {
		if m.Name == name {
			return m.Type
		}
	}
	return strings.ToLower(t.String())
}

// mapPrefix is "" when no other object has a map of the same name as one of o's,
// and else the object's file name without ".o" and a slash.
func (p *plan) mapPrefix(o *object) string {
	for _, other := range p.objects {
		if other == o {
			continue
		}
		for name := range o.spec.Maps {
			if other.spec.Maps[name] != nil {
				return o.label() + "/"
			}
		}
	}
	return ""
}

// loadError finds out which program or map failed and puts the reason into
// words. The loader goes through programs in no order, so the one named is one
// of those that fail.
func (o *object) loadError(err error) error {
	for name, spec := range o.spec.Programs {
		if strings.HasPrefix(err.Error(), "program "+name+": ") {
			return programError(name, spec, err)
		}
	}
	for name := range o.spec.Maps {
		if strings.HasPrefix(err.Error(), "map "+name+": ") {
			return mapError(name, o.spec.Maps[name], err)
		}
	}
	if errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("loading object %q: %w: %w", o.file, unsupported("a feature the object uses", ""), err)
	}
	return &KernelError{Op: fmt.Sprintf("loading object %q", o.file), Err: err}
}
