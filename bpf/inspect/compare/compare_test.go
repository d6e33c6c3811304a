// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compare

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const testdata = "../../testdata/"

func version(t *testing.T, name string, data []byte) *Version {
	t.Helper()
	v := &Version{}
	if err := v.Add(name, data); err != nil {
		t.Fatal(err)
	}
	return v
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// names lists the changes as "~name field,field".
func names(list []Change) []string {
	marks := map[Kind]string{Added: "+", Removed: "-", Changed: "~"}
	out := []string{}
	for _, c := range list {
		var fields []string
		for _, f := range c.Fields {
			fields = append(fields, f.Name)
		}
		text := marks[c.Kind] + c.Name
		if c.Kind == Changed {
			text += " " + strings.Join(fields, ",")
		}
		out = append(out, strings.TrimSpace(text))
	}
	return out
}

func TestSame(t *testing.T) {
	data := read(t, testdata+"moremaps.bpf.o")
	if r := Versions(version(t, "a.o", data), version(t, "a.o", data)); !r.Same() {
		t.Errorf("one object differs from itself: %+v", r)
	}
}

// TestRenamedFile: programs, maps and variables go by their own names.
func TestRenamedFile(t *testing.T) {
	data := read(t, testdata+"update_v1.bpf.o")
	r := Versions(version(t, "a.o", data), version(t, "b.o", data))
	if got, want := names(r.Objects), []string{"-a.o", "+b.o"}; !slices.Equal(got, want) {
		t.Errorf("objects %q, want %q", got, want)
	}
	if len(r.Programs)+len(r.Maps)+len(r.Variables) != 0 {
		t.Errorf("a new file name changed %+v", r)
	}
}

func TestVersions(t *testing.T) {
	r := Versions(version(t, "app.o", read(t, testdata+"update_v1.bpf.o")), version(t, "app.o", read(t, testdata+"update_v2.bpf.o")))
	for _, check := range []struct {
		what      string
		got, want []string
	}{
		{"programs", slices.DeleteFunc(names(r.Programs), func(s string) bool { return s[0] == '~' }), []string{"+raw_new", "-raw_old"}},
		{"variables", slices.DeleteFunc(names(r.Variables), func(s string) bool { return s[0] == '~' }), []string{"-first", "+second"}},
	} {
		if !slices.Equal(check.got, check.want) {
			t.Errorf("%s %q, want %q", check.what, check.got, check.want)
		}
	}
	i := slices.IndexFunc(r.Maps, func(c Change) bool { return c.Name == "sized" })
	if i < 0 {
		t.Fatalf("maps %q", names(r.Maps))
	}
	f := r.Maps[i].Fields[slices.IndexFunc(r.Maps[i].Fields, func(f Field) bool { return f.Name == "maxEntries" })]
	if string(f.Old) != "8" || string(f.New) != "16" {
		t.Errorf("max entries from %s to %s, want 8 to 16", f.Old, f.New)
	}
}

// TestCode changes one instruction: the number that a program returns.
func TestCode(t *testing.T) {
	before := read(t, testdata+"xdp_pass.bpf.o")
	pass, drop := []byte{0xb4, 0, 0, 0, 2, 0, 0, 0}, []byte{0xb4, 0, 0, 0, 1, 0, 0, 0} // w0 = 2, w0 = 1
	if bytes.Count(before, pass) == 0 {
		t.Fatal("the object returns no XDP_PASS")
	}
	after := bytes.Replace(before, pass, drop, 1)
	r := Versions(version(t, "p.o", before), version(t, "p.o", after))
	if len(r.Programs) != 1 || r.Programs[0].Kind != Changed || r.Programs[0].Code == nil {
		t.Fatalf("changed programs %+v, want one with other code", r.Programs)
	}
	c := r.Programs[0].Code
	if c.Added != 1 || c.Removed != 1 {
		t.Errorf("%d instructions added and %d removed, want one each:\n%s", c.Added, c.Removed, c.Diff)
	}
	for _, line := range []string{"\n-MovImm32 dst: r0 imm: 2\n", "\n+MovImm32 dst: r0 imm: 1\n"} {
		if !strings.Contains("\n"+c.Diff, line) {
			t.Errorf("no line %q in\n%s", line, c.Diff)
		}
	}
	if got := names(r.Objects); !slices.Equal(got, []string{"~p.o digest"}) {
		t.Errorf("objects %q: the digest must differ and no more", got)
	}
}

// TestSeveralOfOneName: two objects with a map of one name, of which one changes.
func TestSeveralOfOneName(t *testing.T) {
	both := func(second string) *Version {
		v := version(t, "a.o", read(t, testdata+"update_v1.bpf.o"))
		if err := v.Add("b.o", read(t, testdata+second)); err != nil {
			t.Fatal(err)
		}
		return v
	}
	r := Versions(both("update_v1.bpf.o"), both("update_v2.bpf.o"))
	if got := names(r.Maps); len(got) != 1 || !strings.HasPrefix(got[0], "~b.o:sized maxEntries") {
		t.Errorf("maps %q, want b.o:sized among them", got)
	}
}

func TestAddFails(t *testing.T) {
	if err := (&Version{}).Add("x.o", []byte("text")); err == nil {
		t.Error("text is accepted as an object")
	}
}

// FuzzAdd compares whatever is readable with itself.
func FuzzAdd(f *testing.F) {
	seeds, err := filepath.Glob(testdata + "*.o")
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range seeds {
		f.Add(read(f, seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := &Version{}, &Version{}
		if a.Add("a.o", data) != nil {
			return
		}
		if err := b.Add("a.o", data); err != nil {
			t.Fatal(err)
		}
		if r := Versions(a, b); !r.Same() {
			t.Errorf("differs from itself: %+v", r)
		}
	})
}
