// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfvalue_test

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// entropy is where the choices of a random type or value come from; 0 for ever
// once it is used up, which every generator takes for its simplest choice.
type entropy struct{ data []byte }

func (e *entropy) byte() byte {
	if len(e.data) == 0 {
		return 0
	}
	b := e.data[0]
	e.data = e.data[1:]
	return b
}

// below is a number from 0 to n-1, n at most 256.
func (e *entropy) below(n int) int { return int(e.byte()) % n }

func (e *entropy) chance(percent int) bool { return e.below(100) >= 100-percent }

// generator makes types as a C compiler describes them.
type generator struct {
	*entropy
	// names counts, so that no member of a record is called like another, not
	// even through anonymous members.
	names int
}

// Bounds of a random type: how deep it nests, and its bytes.
const (
	mostDepth = 4
	mostBytes = 4096
)

var intNames = map[uint32]string{1: "signed char", 2: "short", 4: "int", 8: "long", 16: "__int128"}

func (g *generator) integer() *btf.Int {
	size := uint32(1) << g.below(5)
	if g.chance(50) {
		return &btf.Int{Name: "unsigned " + intNames[size], Size: size}
	}
	return &btf.Int{Name: intNames[size], Size: size, Encoding: btf.Signed}
}

func char() *btf.Int { return &btf.Int{Name: "char", Size: 1, Encoding: btf.Signed} }

func (g *generator) enum() *btf.Enum {
	e := &btf.Enum{Name: "e", Size: 1 << g.below(4), Signed: g.chance(50)}
	bits := e.Size * 8
	for i := range g.below(5) {
		v := uint64(i)
		switch g.below(4) {
		case 1:
			v = uint64(g.byte()) // perhaps twice
		case 2:
			v = 1<<(bits-1) - 1 - uint64(i)
		case 3:
			v = ^uint64(i) // negative, or as much as there is room for
		}
		if !e.Signed && bits < 64 {
			v &= 1<<bits - 1
		} else if e.Signed {
			v = uint64(int64(v) << (64 - bits) >> (64 - bits))
		}
		g.names++
		e.Values = append(e.Values, btf.EnumValue{Name: fmt.Sprintf("VALUE_%d", g.names), Value: v})
	}
	return e
}

// wire is a typedef of a number as it is sent, perhaps within another.
func (g *generator) wire() btf.Type {
	i := g.below(3)
	t := &btf.Typedef{Name: []string{"__be16", "__be32", "__be64"}[i], Type: &btf.Int{Name: "unsigned", Size: 2 << i}}
	if g.chance(30) {
		return &btf.Typedef{Name: "ipv4_addr", Type: t}
	}
	return t
}

func (g *generator) address() *btf.Struct {
	if g.chance(50) {
		bytes := &btf.Array{Type: &btf.Int{Name: "unsigned char", Size: 1}, Nelems: 16}
		return &btf.Struct{Name: "in6_addr", Size: 16, Members: []btf.Member{{Name: "in6_u", Type: bytes}}}
	}
	word := &btf.Typedef{Name: "__be32", Type: &btf.Int{Name: "unsigned int", Size: 4}}
	return &btf.Struct{Name: "in_addr", Size: 4, Members: []btf.Member{{Name: "s_addr", Type: word}}}
}

func (g *generator) scalar() btf.Type {
	switch g.below(9) {
	case 1:
		return &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}
	case 2:
		return char()
	case 3:
		return g.enum()
	case 4:
		return &btf.Float{Name: "float", Size: 4 << g.below(2)}
	case 5:
		if g.chance(30) { // they keep a value from being set over other bytes
			return &btf.Pointer{Target: &btf.Void{}}
		}
	case 6:
		return g.wire()
	}
	return g.integer()
}

// typ is any type.
func (g *generator) typ(depth int) btf.Type {
	if depth >= mostDepth {
		return g.scalar()
	}
	switch g.below(16) {
	case 1, 2, 3, 4:
		return g.structure(depth)
	case 5, 6:
		return g.union(depth)
	case 7, 8:
		return &btf.Array{Type: g.typ(depth + 1), Nelems: uint32(g.below(4))}
	case 9, 10:
		return &btf.Array{Type: g.qualified(char()), Nelems: uint32(g.below(12))}
	case 11:
		return g.qualified(g.typ(depth + 1))
	case 12:
		return g.address()
	}
	return g.scalar()
}

// qualified puts typedefs and qualifiers around a type.
func (g *generator) qualified(t btf.Type) btf.Type {
	for range g.below(3) {
		switch g.below(5) {
		case 0:
			t = &btf.Typedef{Name: "alias", Type: t}
		case 1:
			t = &btf.Const{Type: t}
		case 2:
			t = &btf.Volatile{Type: t}
		case 3:
			t = &btf.Restrict{Type: t}
		case 4:
			t = &btf.TypeTag{Type: t, Value: "tag"}
		}
	}
	return t
}

// name is that of a member, some of them of addresses.
func (g *generator) name() string {
	g.names++
	return fmt.Sprintf([]string{"m%d", "m%d", "m%d", "src_ip_%d"}[g.below(4)], g.names)
}

func sizeOf(t btf.Type) uint32 {
	n, err := btf.Sizeof(t)
	if err != nil {
		panic(err) // of the tests' own making
	}
	return uint32(n)
}

// align is the alignment of a type in C, in bytes.
func align(t btf.Type) uint32 {
	most := uint32(1)
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Array:
		return align(t.Type)
	case *btf.Struct:
		for _, m := range t.Members {
			most = max(most, align(m.Type))
		}
		return most
	case *btf.Union:
		for _, m := range t.Members {
			most = max(most, align(m.Type))
		}
		return most
	default:
		return max(sizeOf(t), 1)
	}
}

func up(n, to uint32) uint32 { return (n + to - 1) / to * to }

// structure lays members out as C does, or packed; sometimes a flexible array ends
// it.
func (g *generator) structure(depth int) *btf.Struct {
	s := &btf.Struct{Name: "s"}
	packed := g.chance(20)
	bit, widest := uint32(0), uint32(1)
	for range g.below(6) {
		m := g.member(depth)
		unit := align(m.Type)
		if packed {
			unit = 1
		}
		widest = max(widest, unit)
		switch size := sizeOf(m.Type) * 8; {
		case m.BitfieldSize == 0:
			bit = up(bit, unit*8)
			m.Offset = btf.Bits(bit)
			bit += size
		default:
			if !packed && bit/size != (bit+uint32(m.BitfieldSize)-1)/size {
				bit = up(bit, size)
			}
			m.Offset = btf.Bits(bit)
			bit += uint32(m.BitfieldSize)
		}
		if bit > mostBytes*8 {
			break
		}
		s.Members = append(s.Members, m)
		s.Size = up(up(bit, 8)/8, widest)
	}
	if g.chance(10) {
		s.Members = append(s.Members, btf.Member{Name: g.name(), Type: &btf.Array{Type: char()}, Offset: btf.Bits(s.Size * 8)})
	}
	return s
}

// union puts members over each other.
func (g *generator) union(depth int) *btf.Union {
	u := &btf.Union{Name: "u"}
	widest := uint32(1)
	for range g.below(4) {
		m := g.member(depth)
		widest = max(widest, align(m.Type))
		u.Members = append(u.Members, m)
		u.Size = max(u.Size, sizeOf(m.Type))
	}
	u.Size = up(u.Size, widest)
	return u
}

// member is one without its offset: a bit field, an anonymous record or any type.
func (g *generator) member(depth int) btf.Member {
	kind := g.below(8)
	if depth >= mostDepth {
		kind %= 3 // no more records
	}
	switch kind {
	case 1, 2:
		return g.bits()
	case 3:
		return btf.Member{Type: g.structure(depth + 1)}
	case 4:
		return btf.Member{Type: g.qualified(g.union(depth + 1))}
	}
	return btf.Member{Name: g.name(), Type: g.qualified(g.typ(depth + 1))}
}

func (g *generator) bits() btf.Member {
	m := btf.Member{Name: g.name()}
	switch g.below(4) {
	case 1:
		m.Type, m.BitfieldSize = &btf.Int{Name: "_Bool", Size: 1, Encoding: btf.Bool}, 1
		return m
	case 2:
		m.Type = g.qualified(g.enum())
	default:
		m.Type = g.qualified(g.integer())
	}
	m.BitfieldSize = btf.Bits(1 + g.below(int(sizeOf(m.Type)*8)))
	return m
}

// spell writes a type with its members.
func spell(typ btf.Type) string {
	switch t := typ.(type) {
	case *btf.Struct:
		return fmt.Sprintf("struct %s[%d]{%s}", t.Name, t.Size, spellMembers(t.Members))
	case *btf.Union:
		return fmt.Sprintf("union[%d]{%s}", t.Size, spellMembers(t.Members))
	case *btf.Array:
		return fmt.Sprintf("(%s)[%d]", spell(t.Type), t.Nelems)
	case *btf.Enum:
		return fmt.Sprintf("enum %d %v %v", t.Size, t.Signed, t.Values)
	case *btf.Typedef:
		return t.Name + "=" + spell(t.Type)
	}
	if u := btf.UnderlyingType(typ); u != typ {
		return spell(u)
	}
	return fmt.Sprint(typ)
}

func spellMembers(members []btf.Member) string {
	var out []string
	for _, m := range members {
		out = append(out, fmt.Sprintf("%s %s@%d:%d", spell(m.Type), m.Name, m.Offset, m.BitfieldSize))
	}
	return strings.Join(out, "; ")
}
