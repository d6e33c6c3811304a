// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"maps"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/bpfimg/bpfimg/schemas"
)

// optionsIn are the options of every program of an object.
func optionsIn(t *testing.T, path string) map[string]map[string]string {
	t.Helper()
	obj, err := Object(filepath.Base(path), read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]map[string]string{}
	for _, p := range obj.Programs {
		out[p.Name] = p.Options
	}
	return out
}

// TestRunConfig reads what a source says of the order of its programs.
func TestRunConfig(t *testing.T) {
	got := optionsIn(t, "../testdata/xdp_chain.bpf.o")
	for name, want := range map[string]map[string]string{
		"early":   {OptionPriority: "10", schemas.OptionProceedOn: "drop,pass"},
		"late":    {OptionPriority: "200", schemas.OptionProceedOn: XDPNever},
		"plain":   nil,
		"garbled": nil,
	} {
		if options, ok := got[name]; !ok || !maps.Equal(options, want) {
			t.Errorf("program %q: options %q, want %q", name, options, want)
		}
	}
}

// TestRunConfigOfXDPTools reads the objects of xdp-tools as Debian has them.
func TestRunConfigOfXDPTools(t *testing.T) {
	found, err := filepath.Glob("/usr/lib/*/bpf/xdpfilt_*.o")
	if err != nil || len(found) == 0 {
		t.Skip("SKIP-REASON: runs where the package xdp-tools is installed")
	}
	want := map[string]string{OptionPriority: "10", schemas.OptionProceedOn: "pass"}
	for _, path := range found {
		for name, options := range optionsIn(t, path) {
			if !maps.Equal(options, want) {
				t.Errorf("%s, program %q: options %q, want %q", path, name, options, want)
			}
		}
	}
}

// TestRunConfigOptions is about structures that no compiler makes.
func TestRunConfigOptions(t *testing.T) {
	integer := &btf.Int{Name: "int", Size: 4}
	number := func(n uint32) btf.Type {
		return &btf.Pointer{Target: &btf.Array{Type: integer, Index: integer, Nelems: n}}
	}
	member := func(name string, t btf.Type) btf.Member { return btf.Member{Name: name, Type: t} }
	many := make([]btf.Member, maxRunConfig+1)
	for i := range many {
		many[i] = member(OptionPriority, number(uint32(i)))
	}
	for _, tc := range []struct {
		name    string
		members []btf.Member
		want    map[string]string
	}{
		{"nothing", nil, map[string]string{OptionPriority: "50", schemas.OptionProceedOn: "pass"}},
		{"highest", []btf.Member{member(OptionPriority, number(1<<32-1))}, map[string]string{OptionPriority: "4294967295", schemas.OptionProceedOn: "pass"}},
		{
			"all",
			[]btf.Member{
				member("XDP_REDIRECT", number(1)), member("XDP_TX", number(1)), member("XDP_PASS", number(9)),
				member("XDP_DROP", number(1)), member("XDP_ABORTED", number(1)),
			},
			map[string]string{OptionPriority: "50", schemas.OptionProceedOn: "aborted,drop,pass,tx,redirect"},
		},
		{"typedefs", []btf.Member{member(OptionPriority, &btf.Typedef{Name: "p", Type: number(3)})}, map[string]string{OptionPriority: "3", schemas.OptionProceedOn: "pass"}},
		{"no pointer", []btf.Member{member(OptionPriority, integer)}, nil},
		{"no array", []btf.Member{member(OptionPriority, &btf.Pointer{Target: integer})}, nil},
		{"no type", []btf.Member{member(OptionPriority, &btf.Pointer{Target: (*btf.Void)(nil)})}, nil},
		{"unknown", []btf.Member{member("XDP_TELEPORT", number(1))}, nil},
		{"without a name", []btf.Member{member("", number(1))}, nil},
		{"lower case", []btf.Member{member("XDP_pass", number(1))}, nil},
		{"too many", many, nil},
	} {
		configs := runConfigs{"p": &btf.Struct{Members: tc.members}}
		if got := configs.options("p"); !maps.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}
