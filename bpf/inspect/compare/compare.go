// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package compare says what differs between two versions of an image's objects,
// for a person who must approve an upgrade: programs, their hooks, helpers and
// instructions, maps and global variables. It reads the objects themselves, not
// what labels say of them.
//
// Doors: [Version], [Versions].
package compare

import (
	"cmp"
	"maps"
	"slices"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/schemas"
)

// Version is one side of a comparison. The zero value is empty; fill it with
// [Version.Add].
type Version struct {
	objects []schemas.Object
	// code is the instructions by program; names are unique in an image.
	code map[string][]string
}

// Add reads the ELF file in data, whose base name is name. Its errors are those
// of [inspect.Object].
func (v *Version) Add(name string, data []byte) error {
	object, code, err := inspect.Listing(name, data)
	if err != nil {
		return err
	}
	v.objects = append(v.objects, object)
	if v.code == nil {
		v.code = map[string][]string{}
	}
	maps.Copy(v.code, code)
	return nil
}

// Place takes from objects where the programs that were added go: the image's
// attach defaults, which a node goes by, besides what the sections say. Objects
// and programs that were not added are passed over.
func (v *Version) Place(objects []schemas.Object) {
	for _, o := range objects {
		i := slices.IndexFunc(v.objects, func(have schemas.Object) bool { return have.File == o.File })
		if i < 0 {
			continue
		}
		have := v.objects[i].Programs
		for _, p := range o.Programs {
			if j := slices.IndexFunc(have, func(q schemas.Program) bool { return q.Name == p.Name }); j >= 0 {
				have[j].Hook, have[j].Target, have[j].Options = p.Hook, p.Target, p.Options
			}
		}
	}
}

// Kind says what became of something.
type Kind string

// The kinds of a [Change].
const (
	Added   Kind = "added"
	Removed Kind = "removed"
	Changed Kind = "changed"
)

// Change is one thing that is not in both versions, or not the same in both.
type Change struct {
	Kind Kind `json:"kind"`
	// Name of the object file, program, map or variable; the latter two with
	// their object ("a.bpf.o:name") where a version has several of one name.
	Name string `json:"name"`
	// Fields that differ, in the order of the Description; all of them for what
	// was added or removed.
	Fields []Field `json:"fields,omitempty"`
	// Code says how the instructions of a changed program differ, if they do.
	Code *Code `json:"code,omitempty"`
}

// Result is what differs. Lists are sorted by name.
type Result struct {
	Objects   []Change `json:"objects"`
	Programs  []Change `json:"programs"`
	Maps      []Change `json:"maps"`
	Variables []Change `json:"variables"`
}

// Same says whether nothing differs: the objects are the same bytes.
func (r Result) Same() bool {
	return len(r.Objects)+len(r.Programs)+len(r.Maps)+len(r.Variables) == 0
}

// Versions compares two versions.
func Versions(before, after *Version) Result {
	r := Result{
		Objects:   changes(byFile(before), byFile(after)),
		Programs:  changes(programs(before), programs(after)),
		Maps:      changes(listed(before, after, mapsOf)),
		Variables: changes(listed(before, after, variablesOf)),
	}
	r.Programs = withCode(r.Programs, before.code, after.code)
	return r
}

// facts is what is compared of one thing: fields by their order.
type facts = []Field

func byFile(v *Version) map[string]facts {
	out := map[string]facts{}
	for _, o := range v.objects {
		// Compared one by one.
		o.Programs, o.Maps, o.Variables = nil, nil, nil
		out[o.File] = fieldsOf(o, "file")
	}
	return out
}

func programs(v *Version) map[string]facts {
	out := map[string]facts{}
	for _, o := range v.objects {
		for _, p := range o.Programs {
			out[p.Name] = fieldsOf(p, "name")
		}
	}
	return out
}

// named is a map or variable of an object.
type named struct {
	name  string
	facts facts
}

func mapsOf(o schemas.Object) []named {
	out := make([]named, 0, len(o.Maps))
	for _, m := range o.Maps {
		out = append(out, named{m.Name, fieldsOf(m, "name")})
	}
	return out
}

func variablesOf(o schemas.Object) []named {
	out := make([]named, 0, len(o.Variables))
	for _, v := range o.Variables {
		out = append(out, named{v.Name, fieldsOf(v, "name")})
	}
	return out
}

// listed names what of finds in the objects of both versions: by its name alone
// where that is clear in both, so that a renamed file is no other map.
func listed(before, after *Version, of func(schemas.Object) []named) (old, updated map[string]facts) {
	several := map[string]bool{}
	for _, v := range []*Version{before, after} {
		seen := map[string]bool{}
		for _, o := range v.objects {
			for _, n := range of(o) {
				several[n.name] = several[n.name] || seen[n.name]
				seen[n.name] = true
			}
		}
	}
	name := func(v *Version) map[string]facts {
		out := map[string]facts{}
		for _, o := range v.objects {
			for _, n := range of(o) {
				key := n.name
				if several[key] {
					key = o.File + ":" + key
				}
				out[key] = n.facts
			}
		}
		return out
	}
	return name(before), name(after)
}

// changes lists what is in one of them only or differs.
func changes(before, after map[string]facts) []Change {
	out := []Change{}
	for name, old := range before {
		updated, kept := after[name]
		if !kept {
			out = append(out, Change{Kind: Removed, Name: name, Fields: between(old, nil)})
			continue
		}
		if fields := between(old, updated); len(fields) > 0 {
			out = append(out, Change{Kind: Changed, Name: name, Fields: fields})
		}
	}
	for name, updated := range after {
		if _, kept := before[name]; !kept {
			out = append(out, Change{Kind: Added, Name: name, Fields: between(nil, updated)})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
