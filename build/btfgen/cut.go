// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfgen

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// cut writes what the relocations need of the candidates. All candidates of a
// name stay, also those a loader will not choose: it judges by all of them.
//
// The types stand in the order of their names, not of the kernel, so that two
// kernels that differ elsewhere only give the same bytes.
func (g *Generator) cut(candidates map[string][]btf.Type) ([]byte, error) {
	m := newMarking()
	chosen := map[btf.Type]bool{}
	var roots []btf.Type
	for _, r := range g.relocations {
		if r.kind == typeIDLocal {
			continue
		}
		for _, target := range candidates[essentialName(r.local.TypeName())] {
			if !candidate(r, target) {
				continue
			}
			if err := m.mark(r, target); err != nil {
				return nil, fmt.Errorf("%w: %w", ErrKernelBTF, err)
			}
			if !chosen[target] {
				chosen[target] = true
				roots = append(roots, target)
			}
		}
	}
	sortRoots(roots, candidates)
	return g.write(roots, &cutter{marking: m, done: map[btf.Type]btf.Type{}})
}

// sortRoots by name and kind, those that are alike in both as in the kernel.
func sortRoots(roots []btf.Type, candidates map[string][]btf.Type) {
	place := make(map[btf.Type]int, len(roots))
	for _, list := range candidates {
		for i, t := range list {
			place[t] = i
		}
	}
	slices.SortFunc(roots, func(a, b btf.Type) int {
		return cmp.Or(
			cmp.Compare(a.TypeName(), b.TypeName()),
			cmp.Compare(fmt.Sprintf("%T", a), fmt.Sprintf("%T", b)),
			cmp.Compare(place[a], place[b]),
		)
	})
}

// write encodes the cut roots and whatever they refer to.
func (g *Generator) write(roots []btf.Type, c *cutter) ([]byte, error) {
	types := make([]btf.Type, 0, len(roots))
	for _, root := range roots {
		t, err := c.root(root)
		if err != nil {
			return nil, fmt.Errorf("%w: type %q: %w", ErrKernelBTF, root.TypeName(), err)
		}
		types = append(types, t)
	}
	builder, err := btf.NewBuilder(types, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: collecting the types that are needed: %w", ErrKernelBTF, err)
	}
	data, err := builder.Marshal(nil, &btf.MarshalOptions{Order: g.order})
	if err != nil {
		return nil, fmt.Errorf("%w: writing the types that are needed: %w", ErrKernelBTF, err)
	}
	return data, nil
}

// cutter copies types without what is not needed.
type cutter struct {
	*marking
	done map[btf.Type]btf.Type
}

// maxDepth bounds how deep types contain each other.
const maxDepth = 64

// root copies a candidate. A typedef among them is found by its name; elsewhere
// relocations look through typedefs and qualifiers, which are left out.
func (c *cutter) root(t btf.Type) (btf.Type, error) {
	under, err := c.copy(t, 0)
	if err != nil {
		return nil, err
	}
	if def, ok := t.(*btf.Typedef); ok {
		return &btf.Typedef{Name: def.Name, Type: under}, nil
	}
	return under, nil
}

// copy returns the copy of the type below typedefs and qualifiers, always the
// same one.
func (c *cutter) copy(t btf.Type, depth int) (btf.Type, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("types contain each other over %d levels", maxDepth)
	}
	t = btf.UnderlyingType(t)
	if out, ok := c.done[t]; ok {
		return out, nil
	}
	switch t := t.(type) {
	case *btf.Int:
		return t, checkInt(t)
	case *btf.Void, *btf.Float, *btf.Fwd:
		return t, nil
	case *btf.Enum:
		return c.enum(t), nil
	case *btf.Struct:
		out := &btf.Struct{Name: t.Name, Size: t.Size}
		c.done[t] = out
		return out, c.members(&out.Members, t, depth)
	case *btf.Union:
		out := &btf.Union{Name: t.Name, Size: t.Size}
		c.done[t] = out
		return out, c.members(&out.Members, t, depth)
	case *btf.Array:
		out := &btf.Array{Nelems: t.Nelems}
		c.done[t] = out
		return out, c.all(depth, ref{&out.Index, t.Index}, ref{&out.Type, t.Type})
	case *btf.Pointer:
		out := &btf.Pointer{Target: &btf.Void{}}
		c.done[t] = out
		if n := c.needs[t]; n == nil || !n.follow {
			return out, nil
		}
		return out, c.all(depth, ref{&out.Target, t.Target})
	case *btf.FuncProto:
		return c.signature(t, depth)
	}
	return nil, fmt.Errorf("%T where no relocation leads", t)
}

// ref is a place for the copy of a type.
type ref struct {
	to   *btf.Type
	from btf.Type
}

func (c *cutter) all(depth int, refs ...ref) error {
	for _, r := range refs {
		var err error
		if *r.to, err = c.copy(r.from, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// members copies those that are needed, with their places.
func (c *cutter) members(to *[]btf.Member, t btf.Type, depth int) error {
	n := c.needs[t]
	if n == nil {
		return nil
	}
	list, _ := members(t)
	missing := n.atLeast - len(n.entries)
	for i, member := range list {
		if !n.entries[i] {
			// Those without name would take part in the comparison.
			if missing <= 0 || member.Name == "" {
				continue
			}
			missing--
		}
		under, err := c.copy(member.Type, depth+1)
		if err != nil {
			return err
		}
		*to = append(*to, btf.Member{Name: member.Name, Type: under, Offset: member.Offset, BitfieldSize: member.BitfieldSize})
	}
	return checkBitfields(*to)
}

// enum copies the values that are needed.
func (c *cutter) enum(t *btf.Enum) btf.Type {
	out := &btf.Enum{Name: t.Name, Size: t.Size, Signed: t.Signed}
	c.done[t] = out
	if n := c.needs[t]; n != nil {
		for i, v := range t.Values {
			if n.all || n.entries[i] {
				out.Values = append(out.Values, v)
			}
		}
	}
	return out
}

// signature copies return value and parameters if they are needed, and their
// number always.
func (c *cutter) signature(t *btf.FuncProto, depth int) (btf.Type, error) {
	out := &btf.FuncProto{Return: &btf.Void{}, Params: make([]btf.FuncParam, len(t.Params))}
	c.done[t] = out
	follow := c.needs[t] != nil && c.needs[t].follow
	refs := []ref{{&out.Return, t.Return}}
	for i := range t.Params {
		out.Params[i].Type = &btf.Void{}
		refs = append(refs, ref{&out.Params[i].Type, t.Params[i].Type})
	}
	if !follow {
		return out, nil
	}
	return out, c.all(depth, refs...)
}
