// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestFlags: what reaches clang, and what must not. The JSON Schema says the
// same.
func TestFlags(t *testing.T) {
	t.Parallel()
	schema := buildFileSchema(t)
	for _, flag := range []string{"-Wextra", "-Wno-unused-parameter", "-Werror=shadow", "-Wframe-larger-than=512", "-Uunix", "-O0", "-O3", "-Os", "-std=gnu11", "-W3"} {
		_, err := specFlags(t.TempDir(), schemas.Compile{Flags: []string{flag}})
		if flag == "-W3" {
			if err == nil {
				t.Errorf("%q is let through", flag)
			}
			continue
		}
		if err != nil || schema(schemas.Compile{Flags: []string{flag}}) != nil {
			t.Errorf("%q is refused: %v", flag, err)
		}
	}
	for _, flag := range []string{
		"", "-", "--", "x.c", "-fplugin=/tmp/x.so", "-Xclang", "-load", "/tmp/x.so", "@flags", "-o", "-o/etc/passwd", "-wrapper", "--config=x", "--config",
		"-Wl,-o,x", "-Wa,x", "-Wp,-include,/etc/shadow", "-W,x", "-W", "-Wextra -o x", "-Wextra\n-o", "-Wextra\x00", "-O2 -o x", "-O", "-O4", "-Ofast",
		"-std=c11 -o", "-std=", "-std=../x", "-U", "-UA-o", "-UA B", "-B/tmp", "-include/etc/shadow", "-imacros", "-I/etc", "-iquote/", "-isystem/",
		"-DX", "-D", "-mcpu=v3", "-mllvm", "-save-temps", "-MF/tmp/x", "-serialize-diagnostics", "-fuse-ld=/tmp/x", "-target", "--target=x86_64", "-emit-llvm",
		"-fmodules-cache-path=/tmp", "-ffile-prefix-map=a=b", "-specs=x", "-no-integrated-as", "-fno-integrated-cc1", "-gcc-toolchain", "-ccc-install-dir", "$(x)", "-Wextra$(x)", "-W`x`", "-g",
	} {
		if args, err := specFlags(t.TempDir(), schemas.Compile{Flags: []string{flag}}); !errors.Is(err, build.ErrFile) {
			t.Errorf("%q is let through: %q %v", flag, args, err)
		}
		if schema(schemas.Compile{Flags: []string{flag}}) == nil {
			t.Errorf("the schema accepts flag %q", flag)
		}
	}
}

func TestDefinesAndCPU(t *testing.T) {
	t.Parallel()
	schema := buildFileSchema(t)
	for _, test := range []struct {
		spec schemas.Compile
		ok   bool
	}{
		{schemas.Compile{Defines: []string{"A", "B=", "C=1", `D="x y"`, "_e9=$(touch pwned);`x`", "F=@x", "G=-o"}}, true},
		{schemas.Compile{Defines: []string{""}}, false},
		{schemas.Compile{Defines: []string{"=1"}}, false},
		{schemas.Compile{Defines: []string{"9a"}}, false},
		{schemas.Compile{Defines: []string{"A B"}}, false},
		{schemas.Compile{Defines: []string{"F(x)=x"}}, false},
		{schemas.Compile{Defines: []string{"A=1\n#include </etc/shadow>"}}, false},
		{schemas.Compile{Defines: []string{"A=\x00"}}, false},
		{schemas.Compile{Defines: []string{"A=1\n"}}, false},
		{schemas.Compile{CPU: "v4"}, true},
		{schemas.Compile{CPU: "v3 -o x"}, false},
		{schemas.Compile{CPU: "probe"}, false}, // this machine's, so never the same
	} {
		_, err := specFlags(t.TempDir(), test.spec)
		if (err == nil) != test.ok || (err != nil && !errors.Is(err, build.ErrFile)) {
			t.Errorf("%+v: %v", test.spec, err)
		}
		if err := schema(test.spec); (err == nil) != test.ok {
			t.Errorf("%+v: the schema says %v", test.spec, err)
		}
	}
}

// buildFileSchema checks a compile section against the published JSON Schema.
func buildFileSchema(t *testing.T) func(schemas.Compile) error {
	t.Helper()
	data, err := schemas.JSONSchema("buildfile")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("buildfile", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("buildfile")
	if err != nil {
		t.Fatal(err)
	}
	return func(spec schemas.Compile) error {
		text, err := json.Marshal(map[string]any{"compile": spec})
		if err != nil {
			t.Fatal(err)
		}
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(v)
	}
}

func TestIncludes(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, folder, map[string]string{"-o/x.h": "", "sub dir/x.h": "", "file": ""})
	got, err := specFlags(folder, schemas.Compile{Include: []string{"-o", "sub dir", "."}})
	if want := "-I./-o -I'./sub dir' -I./."; err != nil || quoteAll(got) != strings.ReplaceAll(want, "-I'./sub dir'", "'-I./sub dir'") {
		t.Errorf("%q %v", got, err)
	}
	for _, dir := range []string{"", "/usr/include", "..", "sub dir/../..", "missing", "file", "a\nb", "a\x00b"} {
		if _, err := specFlags(folder, schemas.Compile{Include: []string{dir}}); !errors.Is(err, build.ErrFile) {
			t.Errorf("%q: %v", dir, err)
		}
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	write(t, folder, map[string]string{
		"b.bpf.c": "", "a.bpf.c": "", "a.c": "", ".hidden.bpf.c": "", "a.bpf.o": "", "dir.bpf.c/x": "", "sub/a.bpf.c": "", "c.S": "",
	})
	if err := os.Symlink("nowhere", filepath.Join(folder, ".#a.bpf.c")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.c", filepath.Join(folder, "link.bpf.c")); err != nil {
		t.Fatal(err)
	}
	got, err := chooseSources(folder, nil)
	if err != nil || strings.Join(got, " ") != "a.bpf.c b.bpf.c link.bpf.c" {
		t.Errorf("%q %v", got, err)
	}
	if got, err := chooseSources(folder, []string{"a.c", "sub/a.bpf.c"}); err != nil || len(got) != 2 {
		t.Errorf("%q %v", got, err)
	}
	for _, bad := range [][]string{
		{"/etc/x.c"},
		{"../x.c"},
		{"missing.c"},
		{"dir.bpf.c"},
		{"c.S"},
		{"a.bpf.o"},
		{".hidden.bpf.c"},
		{"a.bpf.c", "sub/a.bpf.c"},
		{"a.c", "a.c"},
		{"a\nb.c"},
		{"a\x1b.c"},
		{"é.c"},
		{"a\\b.c"},
		{""},
	} {
		if _, err := chooseSources(folder, bad); !errors.Is(err, build.ErrInput) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	write(t, folder, map[string]string{"new\nline.bpf.c": ""})
	if _, err := chooseSources(folder, nil); !errors.Is(err, build.ErrInput) || !strings.Contains(err.Error(), `new\nline`) {
		t.Errorf("line end in a name: %v", err)
	}
	if _, err := chooseSources(t.TempDir(), nil); !errors.Is(err, build.ErrInput) {
		t.Errorf("an empty folder: %v", err)
	}
}
