// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"errors"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/google/go-cmp/cmp"
)

const wholeFile = `name: n
version: v1
description: |
  two
  lines
source: https://example.com
revision: abc
licenses: MIT
labels: {a: b}
annotations: {c: d}
programs:
  xdp_count:
    attach: xdp:eth0,mode=native
compile:
  sources: [a.c]
  include: [include]
  defines: [A, B=1]
  cpu: v3
  flags: [-Wextra]
`

func TestReadFile(t *testing.T) {
	t.Parallel()
	want := schemas.BuildFile{
		Name: "n", Version: "v1", Description: "two\nlines\n", Source: "https://example.com", Revision: "abc", Licenses: "MIT",
		Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"c": "d"},
		Programs: map[string]schemas.ProgramDefaults{"xdp_count": {Attach: "xdp:eth0,mode=native"}},
		Compile: &schemas.Compile{
			Sources: []string{"a.c"}, Include: []string{"include"}, Defines: []string{"A", "B=1"}, CPU: "v3", Flags: []string{"-Wextra"},
		},
	}
	got, err := ReadFile("bpfimg.yaml", []byte(wholeFile))
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, file (-want +got):\n%s", err, diff)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n"} {
		if got, err := ReadFile("bpfimg.yaml", []byte(empty)); err != nil || !cmp.Equal(got, schemas.BuildFile{}) {
			t.Errorf("%q gives %+v, %v", empty, got, err)
		}
	}
}

func TestReadFileRefuses(t *testing.T) {
	t.Parallel()
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'k'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+p+",", 8) + "*" + p + "]\n"
	}
	for _, tc := range []struct{ name, data, want string }{
		{"unknown key", "name: a\nversoin: b\n", `line 2: unknown key "versoin"; known here: name, version`},
		{"unknown key of a program", "programs:\n  p:\n    atach: xdp\n", `line 3: unknown key "atach"; known here: attach`},
		{"unknown key of compile", "compile:\n  flag: [-g]\n", `line 2: unknown key "flag"; known here: sources, include, defines, cpu, flags`},
		{"key twice", "name: a\nname: b\n", `line 2: mapping key "name" already defined at line 1`},
		{"label twice", "labels:\n  a: b\n  a: c\n", `line 3: mapping key "a" already defined`},
		{"wrong kind", "name: a\nlabels: 3\n", "line 2: cannot unmarshal"},
		{"not YAML", "name: [", "line 1"},
		{"a list", "- a\n", "line 1"},
		{"two documents", "name: a\n---\nname: b\n", "line 2: a second document"},
		{"rest is not YAML", "name: a\n---\n[", "line 3"},
		{"attach", "programs: {p: {attach: 'xdp:'}}\n", `program "p": hook "xdp:" has a colon but no target`},
		{"no attach", "programs: {p: {}}\n", `program "p": hook "" has no name`},
		{"too long", strings.Repeat("#", MaxFile+1), "at most 131072"},
		{"alias bomb", "labels:\n  x: y\n" + bomb, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := ReadFile("dir/bpfimg.yaml", []byte(tc.data))
			if !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), "dir/bpfimg.yaml") || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("got error %v, want %v with %s", err, ErrFile, tc.want)
			}
			if strings.ContainsAny(err.Error(), "\n") || strings.Contains(err.Error(), "schemas.") {
				t.Errorf("error %q is more than one plain line", err)
			}
			if !cmp.Equal(got, schemas.BuildFile{}) {
				t.Errorf("half a file is returned: %+v", got)
			}
		})
	}
}

func FuzzReadFile(f *testing.F) {
	for _, seed := range []string{
		wholeFile, "", "a: &a [*a]", "<<: {name: b}", "name: a\n---\n", "? [a]\n: b", "labels: {a: !!binary aGk=}",
		"labels: {~: b}", "programs: {1: {attach: 'tc:x,a=b'}}", "%YAML 1.1\n---\n", "\xff\xfen\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := ReadFile("f", data)
		if err != nil {
			if !errors.Is(err, ErrFile) || !cmp.Equal(got, schemas.BuildFile{}) {
				t.Errorf("got %+v and error %v", got, err)
			}
			return
		}
		for name, p := range got.Programs {
			if _, err := schemas.ParseHook(p.Attach); err != nil {
				t.Errorf("program %q: %v", name, err)
			}
		}
	})
}
