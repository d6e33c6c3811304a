// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
)

// squash leaves what the two spellings of a name have in common.
func squash(s string) string { return strings.ToLower(strings.ReplaceAll(s, "_", "")) }

// TestNames compares the tables with the library's names for the same numbers,
// so that no entry is missing or out of place.
func TestNames(t *testing.T) {
	for _, tc := range []struct {
		table   string
		names   []string
		library func(i int) string
		// other spellings by number
		except map[int]string
	}{
		{
			"program types", programTypes, func(i int) string { return ebpf.ProgramType(i).String() },
			map[int]string{0: "UnspecifiedProgram", 28: "Extension"},
		},
		{
			// The library has no names past kprobe.session.
			"attach types", attachTypes[:57], func(i int) string { return ebpf.AttachType(i).String() },
			map[int]string{0: "None"},
		},
		{
			"map types", mapTypes, func(i int) string { return ebpf.MapType(i).String() },
			map[int]string{0: "UnspecifiedMap", 3: "ProgramArray", 10: "LRUCPUHash", 26: "StructOpsMap", 32: "CgroupStorage"},
		},
		{
			"helpers", helperNames[:], func(i int) string { return strings.TrimPrefix(asm.BuiltinFunc(i).String(), "Fn") },
			nil,
		},
	} {
		for i, name := range tc.names {
			want := tc.library(i)
			if other, ok := tc.except[i]; ok {
				if want != other {
					t.Errorf("%s: %d is %q to the library, no longer %q", tc.table, i, want, other)
				}
				continue
			}
			if squash(name) != squash(want) {
				t.Errorf("%s: %d is %q, but %q to the library", tc.table, i, name, want)
			}
		}
		if next := tc.library(len(tc.names)); tc.table != "attach types" && !strings.Contains(next, "(") {
			t.Errorf("%s: %d is missing: %q", tc.table, len(tc.names), next)
		}
	}
	if got := programType(200); got != "unknown#200" {
		t.Errorf("program type 200 is %q", got)
	}
	for n, want := range map[int64]string{1: "bpf_map_lookup_elem", 0: "unknown#0", -1: "unknown#-1", 212: "unknown#212"} {
		if got := helperName(n); got != want {
			t.Errorf("helper %d is %q, want %q", n, got, want)
		}
	}
}

func TestCType(t *testing.T) {
	u32 := &btf.Typedef{Name: "__u32", Type: &btf.Int{Name: "unsigned int", Size: 4}}
	char := &btf.Int{Name: "char", Size: 1}
	array := &btf.Array{Type: char, Nelems: 16}
	cyclic := &btf.Pointer{}
	cyclic.Target = &btf.Const{Type: cyclic}
	for _, tc := range []struct {
		typ  btf.Type
		want string
	}{
		{nil, ""},
		{&btf.Void{}, ""},
		{(*btf.Void)(nil), ""},
		{&btf.Datasec{Name: ".data"}, ""},
		{u32, "__u32"},
		{&btf.Struct{Name: "counter"}, "struct counter"},
		{&btf.Struct{}, "struct {…}"},
		{&btf.Union{Name: "u"}, "union u"},
		{&btf.Enum{Name: "e"}, "enum e"},
		{&btf.Fwd{Name: "s", Kind: btf.FwdStruct}, "struct s"},
		{array, "char[16]"},
		{&btf.Array{Type: array, Nelems: 2}, "char[2][16]"},
		{&btf.Const{Type: array}, "const char[16]"},
		{&btf.Pointer{Target: u32}, "__u32 *"},
		{&btf.Pointer{Target: &btf.Void{}}, "void *"},
		{&btf.Pointer{Target: &btf.Const{Type: char}}, "const char *"},
		{&btf.Const{Type: &btf.Pointer{Target: char}}, "char *const"},
		{&btf.Pointer{Target: &btf.Pointer{Target: char}}, "char **"},
		{&btf.Array{Type: &btf.Pointer{Target: char}, Nelems: 4}, "char *[4]"},
		{&btf.Pointer{Target: array}, "char (*)[16]"},
		{&btf.Pointer{Target: &btf.FuncProto{Return: &btf.Int{Name: "int"}}}, "int (*)(void)"},
		{&btf.Volatile{Type: &btf.Const{Type: u32}}, "volatile const __u32"},
		{&btf.TypeTag{Type: u32, Value: "kptr"}, "__u32"},
	} {
		if got := cType(tc.typ); got != tc.want {
			t.Errorf("cType(%v) = %q, want %q", tc.typ, got, tc.want)
		}
	}
	if got := cType(cyclic); !strings.HasPrefix(got, "…") || len(got) > 500 {
		t.Errorf("a type of itself is %q", got)
	}
}
