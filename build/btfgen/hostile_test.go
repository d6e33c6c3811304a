// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfgen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/cilium/ebpf/btf"
)

// encoded are types as a kernel would show them.
func encoded(t testing.TB, types ...btf.Type) []byte {
	t.Helper()
	b, err := btf.NewBuilder(types, nil)
	if err != nil {
		t.Fatal(err)
	}
	data, err := b.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// nested is an array of arrays of arrays.
func nested(depth int) btf.Type {
	var t btf.Type = &btf.Int{Name: "int", Size: 4}
	for range depth {
		t = &btf.Array{Index: &btf.Int{Name: "index", Size: 4}, Type: t, Nelems: 1}
	}
	return t
}

// oldBitfield is a task whose field has five bits, which its type says.
func oldBitfield(t testing.TB, at btf.Bits) []byte {
	t.Helper()
	whole := encoded(t, &btf.Struct{Name: "task_struct", Size: 4, Members: []btf.Member{
		{Name: "tgid", Type: &btf.Int{Name: "five", Size: 4}, Offset: at},
	}})
	// Size in bytes, and in bits (struct btf_type and BTF_INT_BITS of linux/btf.h).
	five := bytes.Replace(whole, []byte{4, 0, 0, 0, 32, 0, 0, 0}, []byte{4, 0, 0, 0, 5, 0, 0, 0}, 1)
	if bytes.Equal(whole, five) {
		t.Fatal("the integer was not found")
	}
	return five
}

// danglingTypedef is a task, and a typedef of its name for a type that is not there.
func danglingTypedef(t testing.TB) []byte {
	t.Helper()
	data := encoded(t, &btf.Struct{Name: "task_struct", Size: 4}, &btf.Typedef{Name: "task_struct", Type: &btf.Int{Name: "int", Size: 4}})
	at := bytes.Index(data, []byte{0, 0, 0, 8}) // kind and length of a typedef; the type follows
	if at < 0 {
		t.Fatal("the typedef was not found")
	}
	data[at+4] = 99
	return data
}

func TestRefusedKernels(t *testing.T) {
	t.Parallel()
	g := newGenerator(t, coreObject)
	good := encoded(t, &btf.Struct{Name: "task_struct", Size: 4})
	for _, tc := range []struct {
		name   string
		kernel []byte
		want   error
		text   string
	}{
		{"empty", nil, ErrKernelBTF, "it is empty"},
		{"text", []byte("hello, kernel"), ErrKernelBTF, "does not begin as BTF does"},
		{"an ELF file", read(t, coreObject), ErrKernelBTF, "does not begin as BTF does"},
		{"other byte order", []byte{0xeb, 0x9f, 1, 0}, ErrByteOrder, ""},
		{"cut short", good[:len(good)-1], ErrKernelBTF, ""},
		{"huge", make([]byte, MaxKernelBTF+1), ErrKernelBTF, "at most 67108864"},
		{
			"deep", encoded(t, &btf.Struct{Name: "task_struct", Size: 4, Members: []btf.Member{{Name: "comm", Type: nested(maxDepth + 2)}}}),
			ErrKernelBTF, "over 64 levels",
		},
		{
			"a struct of functions", encoded(t, &btf.Struct{Name: "task_struct", Size: 4, Members: []btf.Member{
				{Name: "comm", Type: &btf.Func{Name: "f", Type: &btf.FuncProto{Return: &btf.Void{}}}},
			}}),
			ErrKernelBTF, "where no relocation leads",
		},
		{
			"an integer that would be a bit field", encoded(t, &btf.Struct{Name: "task_struct", Size: 4, Members: []btf.Member{
				{Name: "comm", Type: &btf.Int{Name: "huge", Size: 1<<31 + 8}},
			}}),
			ErrKernelBTF, `an integer "huge" of 2147483656 bytes`,
		},
		{"a type of a type that is not there", danglingTypedef(t), ErrKernelBTF, `looking up type "task_struct"`},
		{"a bit field too far away", oldBitfield(t, 1<<24), ErrKernelBTF, "a member at bit 16777216 beside a bit field"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := g.Generate(tc.kernel)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got error %v, want %v with %q", err, tc.want, tc.text)
			}
		})
	}
}

func TestRefusedObjects(t *testing.T) {
	t.Parallel()
	little, big := read(t, coreObject), read(t, "../../bpf/testdata/counter_eb.bpf.o")
	for _, tc := range []struct {
		name    string
		objects []Object
		want    error
	}{
		{"text", []Object{{"a.o", []byte("hello")}}, inspect.ErrNotBPF},
		{"two byte orders", []Object{{"a.o", little}, {"b.o", big}}, ErrByteOrder},
	} {
		if _, err := New(tc.objects); !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.objects[len(tc.objects)-1].Name) {
			t.Errorf("%s: got error %v, want %v", tc.name, err, tc.want)
		}
	}
}

// TestNothingNeeded: objects without relocations need no kernel's types.
func TestNothingNeeded(t *testing.T) {
	t.Parallel()
	if newGenerator(t, "../../examples/xdp-counter/counter.bpf.o").Needed() {
		t.Error("an object without relocations needs BTF")
	}
	if !newGenerator(t, "../../examples/xdp-counter/counter.bpf.o", coreObject).Needed() {
		t.Error("an object with relocations needs none")
	}
}

// TestSameBytes: what differs elsewhere in two kernels makes no difference, what
// differs in a type the object reads does.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	g := newGenerator(t, coreObject)
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	task := func(at btf.Bits) btf.Type {
		return &btf.Struct{Name: "task_struct", Size: 64, Members: []btf.Member{{Name: "tgid", Type: integer, Offset: at}}}
	}
	generate := func(types ...btf.Type) []byte {
		data, err := g.Generate(encoded(t, types...))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	size := &btf.Typedef{Name: "pid_t", Type: integer}
	one := generate(task(64), size)
	if other := generate(&btf.Int{Name: "other", Size: 8}, size, &btf.Struct{Name: "unused", Size: 1}, task(64)); !bytes.Equal(one, other) {
		t.Errorf("another order and other types give other bytes:\n%x\n%x", one, other)
	}
	if other := generate(task(96), size); bytes.Equal(one, other) {
		t.Error("a field at another place gives the same bytes")
	}
}

// TestCompareNotices: the comparison at the end of Generate is no decoration.
func TestCompareNotices(t *testing.T) {
	t.Parallel()
	g := newGenerator(t, coreObject)
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	task := func(at btf.Bits) []byte {
		return encoded(t, &btf.Struct{Name: "task_struct", Size: 64, Members: []btf.Member{{Name: "tgid", Type: integer, Offset: at}}})
	}
	if err := g.compare(spec(t, task(64)), task(64)); err != nil {
		t.Error(err)
	}
	if err := g.compare(spec(t, task(64)), task(96)); err == nil || !strings.Contains(err.Error(), `program "ask" of "core.bpf.o"`) {
		t.Errorf("got error %v, want one that names the program", err)
	}
}

func FuzzGenerate(f *testing.F) {
	relocs := filepath.Join(ciliumDir(f), "btf/testdata/relocs-el.elf")
	generators := []*Generator{newGenerator(f, coreObject), newGenerator(f, relocs)}
	f.Add(btfOf(f, read(f, coreObject)))
	f.Add(btfOf(f, read(f, relocs)))
	f.Add(encoded(f, &btf.Struct{Name: "task_struct", Size: 4, Members: []btf.Member{{Name: "comm", Type: nested(3)}}}))
	f.Add(oldBitfield(f, 64))
	f.Fuzz(func(t *testing.T, kernel []byte) {
		for _, g := range generators {
			minimal, err := g.Generate(kernel)
			switch {
			case err == nil:
				if again, err := g.Generate(minimal); err != nil {
					t.Errorf("the minimised BTF cannot be minimised: %v", err)
				} else if !bytes.Equal(minimal, again) {
					t.Error("the minimised BTF minimises further")
				}
			case !errors.Is(err, ErrKernelBTF) && !errors.Is(err, ErrByteOrder):
				t.Error(err)
			}
		}
	})
}

func FuzzRelocations(f *testing.F) {
	for _, path := range []string{coreObject, filepath.Join(ciliumDir(f), "btf/testdata/relocs-eb.elf")} {
		f.Add(read(f, path))
	}
	f.Fuzz(func(_ *testing.T, object []byte) {
		_, _ = New([]Object{{Name: "a.o", Bytes: object}}) // must not panic or take long
	})
}

// TestMatchingCounts: type_matches counts members before it compares them, and of
// those without name several can share one of the kernel's.
func TestMatchingCounts(t *testing.T) {
	t.Parallel()
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	inner := func(name string) btf.Type {
		return &btf.Struct{Size: 4, Members: []btf.Member{{Name: name, Type: integer}}}
	}
	local := &btf.Struct{Name: "s", Size: 8, Members: []btf.Member{{Type: inner("a")}, {Type: inner("a"), Offset: 32}}}
	target := &btf.Struct{Name: "s", Size: 8, Members: []btf.Member{{Name: "x", Type: integer}, {Type: inner("a"), Offset: 32}}}
	g := &Generator{order: binary.LittleEndian, relocations: []relocation{{kind: typeMatches, local: local, path: []int{0}}}}
	data, err := g.cut(map[string][]btf.Type{"s": {target}})
	if err != nil {
		t.Fatal(err)
	}
	var got *btf.Struct
	if err := spec(t, data).TypeByName("s", &got); err != nil || len(got.Members) != len(local.Members) {
		t.Errorf("%v: %v", got, err)
	}
}
