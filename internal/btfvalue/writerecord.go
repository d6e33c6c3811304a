// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// encodeRecord writes a struct, or the union it is called with.
func encodeRecord(p place, members []btf.Member, union *btf.Union, v value, depth int) error {
	if v.kind != kindObject {
		return p.fail("a %s is written as a JSON object, such as %s", p.ctype(), exampleField(members))
	}
	arms := arms{}
	for _, f := range v.fields {
		search := search{left: maxFields}
		steps := search.find(members, f.name, 0)
		if steps == nil {
			return p.fail("a %s has no field %q; it has %s", p.ctype(), f.name, strings.Join(fieldNames(members), ", "))
		}
		steps[0].in = union
		other := arms.take(steps, f.name)
		err := encodeField(p, steps, f.value, depth)
		if other != "" && errors.Is(err, errOther) {
			return p.fail("fields %q and %q are of one union and share their bytes, and do not say the same: give one", other, f.name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// encodeField follows steps from the record at p to a field, and writes v there.
func encodeField(p place, steps []step, v value, depth int) error {
	for i, s := range steps {
		m := s.member
		if i == len(steps)-1 {
			p.path += "." + m.Name
			if m.BitfieldSize > 0 {
				return encodeBitfield(p, m, v)
			}
		}
		size, err := btf.Sizeof(m.Type)
		at := uint64(m.Offset.Bytes())
		if err != nil || size < 0 || m.Offset%8 != 0 || at+uint64(size) > uint64(len(p.data)) {
			return p.fail("%w: it does not fit into what it is a field of", ErrNotSettable)
		}
		p = p.part(m.Type, at, at+uint64(size))
	}
	return encode(p, v, depth+1)
}

// step is one member on the way to a field: anonymous ones, and the last.
type step struct {
	member btf.Member
	// in is what it is a member of, when that is a union.
	in *btf.Union
}

// search looks through members and those of anonymous members.
type search struct {
	// left is how many more members may be looked at.
	left int
}

// find looks a field up by name; nil when there is none.
func (s *search) find(members []btf.Member, name string, depth int) []step {
	if s.left -= len(members); depth > maxDepth || s.left < 0 || name == "" {
		return nil
	}
	for _, m := range members {
		if m.Name == name {
			return []step{{member: m}}
		}
	}
	for _, m := range members {
		inner, union := innerMembers(m)
		if steps := s.find(inner, name, depth+1); steps != nil {
			steps[0].in = union
			return append([]step{{member: m}}, steps...)
		}
	}
	return nil
}

// names in declaration order.
func (s *search) names(members []btf.Member, depth int) []string {
	if s.left -= len(members); depth > maxDepth || s.left < 0 {
		return nil
	}
	var out []string
	for _, m := range members {
		if m.Name != "" {
			out = append(out, m.Name)
			continue
		}
		inner, _ := innerMembers(m)
		out = append(out, s.names(inner, depth+1)...)
	}
	return out
}

// innerMembers of an anonymous member, and the union it may be.
func innerMembers(m btf.Member) ([]btf.Member, *btf.Union) {
	if m.Name != "" {
		return nil, nil
	}
	switch t := strip(place{typ: m.Type}).typ.(type) {
	case *btf.Struct:
		return t.Members, nil
	case *btf.Union:
		return t.Members, t
	}
	return nil, nil
}

// fieldNames are enough of them for a message.
func fieldNames(members []btf.Member) []string {
	const most = 64
	s := search{left: maxFields}
	names := s.names(members, 0)
	if len(names) > most {
		names = append(names[:most], "…")
	}
	return names
}

// arms remembers which member of each union is in use, and by which field.
type arms map[*btf.Union]arm

// arm is one member, the field of it that was given and the member's own name
// and type.
type arm struct {
	name  string
	typ   btf.Type
	field string
}

// take notes the members that steps go through; the answer is the field that
// has taken another member of one of the unions.
func (a arms) take(steps []step, field string) string {
	for _, s := range steps {
		if s.in == nil {
			continue
		}
		if before, ok := a[s.in]; ok && (before.name != s.member.Name || before.typ != s.member.Type) {
			return before.field
		}
		a[s.in] = arm{name: s.member.Name, typ: s.member.Type, field: field}
	}
	return ""
}

// encodeList writes an array.
func encodeList(p place, t *btf.Array, v value, depth int) error {
	if v.kind != kindList {
		return p.fail("a %s is written as a JSON list, such as [1, 2]", p.ctype())
	}
	if uint64(len(v.list)) > uint64(t.Nelems) {
		return p.fail("%d values for a %s, which has room for %d", len(v.list), p.ctype(), t.Nelems)
	}
	size, err := btf.Sizeof(t.Type)
	if err != nil || size < 0 || uint64(size)*uint64(t.Nelems) > uint64(len(p.data)) {
		return p.fail("%w: its elements do not fit into it", ErrNotSettable)
	}
	for i, e := range v.list {
		at := p.part(t.Type, uint64(i*size), uint64((i+1)*size))
		at.path = fmt.Sprintf("%s[%d]", p.path, i)
		if err := encode(at, e, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// encodeText writes an array of char: the text, and NULs behind it.
func encodeText(p place, text string) error {
	if strings.ContainsRune(text, 0) {
		return p.fail("a C string ends at its first NUL, and there is one in %q", text)
	}
	if len(text) >= len(p.data) {
		return p.fail("%q has %d bytes, and a %s holds %d and a NUL", text, len(text), p.ctype(), max(len(p.data)-1, 0))
	}
	if err := p.put(append([]byte(text), 0)); err != nil {
		return err
	}
	for i := len(text) + 1; i < len(p.data); i++ {
		p.data[i] &= p.done[i] // another field may tell what is behind
	}
	return nil
}

func encodeAddress(p place, text string) error {
	ip, err := netip.ParseAddr(text)
	if err != nil || ip.Zone() != "" || len(ip.AsSlice()) != len(p.data) {
		return p.fail("%q is not an address for a %s", text, p.ctype())
	}
	return p.put(ip.AsSlice())
}
