// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/cilium/ebpf"

	"github.com/bpfimg/bpfimg/schemas"
)

// borrowed is a map of somebody else that takes the place of one in an object.
type borrowed struct {
	m *ebpf.Map
	// from is the path of its pin or the name of its instance.
	from string
}

// borrow opens the maps of others that opts ask for, and checks that each fits.
// What it opens is closed by returnMaps.
func (p *plan) borrow(m *Manager, opts RunOptions) error {
	for _, name := range slices.Sorted(maps.Keys(opts.UseMaps)) {
		if err := p.usePinned(name, opts.UseMaps[name]); err != nil {
			return err
		}
	}
	for _, instance := range opts.ShareMaps {
		if err := p.shareWith(m, instance); err != nil {
			return err
		}
	}
	return nil
}

// returnMaps closes what borrow has opened: what is loaded has its own reference.
func (p *plan) returnMaps() {
	for _, o := range p.objects {
		for _, b := range o.borrowed {
			b.m.Close()
		}
		o.borrowed = nil
	}
}

// replacements are the maps that are there already, kept by an update or borrowed,
// as the loader wants them.
func (o *object) replacements() map[string]*ebpf.Map {
	out := make(map[string]*ebpf.Map, len(o.borrowed)+len(o.keep))
	maps.Copy(out, o.keep)
	for name, b := range o.borrowed {
		out[name] = b.m
	}
	return out
}

// usePinned puts a pinned map in the place of one in an object.
func (p *plan) usePinned(name, path string) error {
	o, bare, err := p.owner("map", name, (*object).mapNames)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(path) {
		return fmt.Errorf("%w: map %q: %q is not an absolute path of a pinned map", ErrSetting, name, path)
	}
	if n := len(o.spec.Maps[bare].Contents); n > 0 {
		return fmt.Errorf("%w: map %q cannot be one of somebody else: the object fills %d of its entries itself", ErrSetting, name, n)
	}
	m, err := ebpf.LoadPinnedMap(path, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: nothing is pinned at %s to be map %q", ErrNoMap, path, name)
	}
	if err != nil {
		return fmt.Errorf("opening %s to be map %q: %w", path, name, err)
	}
	return o.take(bare, name, borrowed{m: m, from: path})
}

// shareWith uses the maps of a running instance where names are the same.
func (p *plan) shareWith(m *Manager, instance string) error {
	st, err := m.shareable(instance)
	if err != nil {
		return err
	}
	var theirs, shared []string
	for _, mp := range st.Maps {
		if compilerMade(mp.Name) {
			continue
		}
		theirs = append(theirs, mp.Name)
		for _, o := range p.objects {
			spec := o.spec.Maps[mp.Name]
			name := mp.Name
			if spec == nil {
				name = strings.TrimPrefix(mp.Name, o.label()+"/")
				spec = o.spec.Maps[name]
			}
			if spec == nil || o.borrowed[name].m != nil {
				continue
			}
			if len(spec.Contents) > 0 {
				m.log.Info("a map is not shared: the object fills it itself", "map", name, "instance", instance)
				continue
			}
			held, err := openMapOf(mp)
			if err != nil {
				return fmt.Errorf("opening map %q of instance %q: %w", mp.Name, instance, err)
			}
			if err := o.take(name, name, borrowed{m: held, from: instance}); err != nil {
				return err
			}
			shared = append(shared, name)
		}
	}
	if len(shared) > 0 {
		return nil
	}
	if len(theirs) == 0 {
		return fmt.Errorf("%w: instance %q has no maps to share", ErrSetting, instance)
	}
	return fmt.Errorf("%w: nothing to share with instance %q: no map of the image is called like one of its %s", ErrSetting, instance, quoted(theirs))
}

// shareable is the record of an instance that runs, whose maps can be used.
func (m *Manager) shareable(instance string) (*schemas.Instance, error) {
	rec, err := m.existing(instance)
	if err != nil {
		return nil, err
	}
	why, err := m.staleness(rec)
	if err != nil {
		return nil, err
	}
	if why != "" {
		return nil, fmt.Errorf("%w: %q: %s", ErrNoInstance, instance, why)
	}
	return rec, nil
}

// take notes a map of somebody else if it fits, and closes it if not.
func (o *object) take(name, asked string, b borrowed) error {
	if o.borrowed[name].m != nil {
		return joined.Errors(fmt.Errorf("%w: map %q is given twice, as %s and as %s", ErrSetting, asked, o.borrowed[name].from, b.from), b.m.Close())
	}
	info, err := b.m.Info()
	if err != nil {
		return joined.Errors(fmt.Errorf("reading map %s: %w", b.from, err), b.m.Close())
	}
	if diffs := o.differences(name, info); len(diffs) > 0 {
		err := fmt.Errorf("map %q cannot be the one of %s: %w: %s", asked, b.from, ErrMapDiffers, strings.Join(diffs, ", "))
		return joined.Errors(err, b.m.Close())
	}
	if o.borrowed == nil {
		o.borrowed = map[string]borrowed{}
	}
	o.borrowed[name] = b
	return nil
}

// differences of a map from the object's definition, each a phrase. They are
// those the loader and the verifier mind (MapSpec.Compatible of cilium/ebpf).
func (o *object) differences(name string, has *ebpf.MapInfo) []string {
	spec := o.spec.Maps[name]
	var out []string
	if spec.Type != has.Type {
		return []string{fmt.Sprintf("it is of type %s instead of %s", strings.ToLower(has.Type.String()), o.mapType(name, spec.Type))}
	}
	number := func(what string, has, want uint32) {
		if has != want {
			out = append(out, fmt.Sprintf("%s is %d instead of %d", what, has, want))
		}
	}
	number("its key size", has.KeySize, spec.KeySize)
	number("its value size", has.ValueSize, spec.ValueSize)
	if spec.MaxEntries > 0 && has.MaxEntries != spec.MaxEntries {
		out = append(out, fmt.Sprintf("it has %d entries instead of %d (--map-max-entries %s=%d makes them alike)", has.MaxEntries, spec.MaxEntries, name, has.MaxEntries))
	}
	if flags := spec.Flags; has.Flags != flags && !(spec.Type == ebpf.DevMap || spec.Type == ebpf.DevMapHash) {
		out = append(out, fmt.Sprintf("its flags are %#x instead of %#x", has.Flags, flags))
	}
	return out
}

// leaveShared does not wait for maps that other instances have borrowed: they
// live on with them.
func (r *removal) leaveShared(name string) error {
	records, err := r.m.records()
	if err != nil {
		return err
	}
	for _, rec := range records {
		if rec.Name == name || r.rec == nil || rec.BootID != r.rec.BootID {
			continue
		}
		for _, m := range rec.Maps {
			if i := slices.Index(r.ids.maps, m.ID); i >= 0 {
				r.ids.maps = slices.Delete(r.ids.maps, i, i+1)
				r.m.log.Info("a map lives on, another instance uses it", "map", m.Name, "instance", rec.Name)
			}
		}
	}
	return nil
}
