// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/inspect"
	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/schemas"
)

// counter needs no header: it compiles wherever there is a clang.
const counter = `#include "counter.h"
__attribute__((section("license"), used)) char _license[] = "GPL";
__attribute__((section("xdp"), used)) int count(void *ctx)
{
	total += STEP;
	return 2;
}
`

const counterHeader = "#ifndef STEP\n#define STEP 1\n#endif\nlong total;\n"

// write makes files of a folder.
func write(t *testing.T, folder string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// counterFolder is a folder with a source and its header.
func counterFolder(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "src")
	write(t, folder, map[string]string{"counter.bpf.c": counter, "counter.h": counterHeader})
	return folder
}

// needsClang skips without a compiler, and sees to it that no output is left
// in the folder for temporary files.
func needsClang(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("clang"); err != nil {
		t.Skip("SKIP-REASON: runs where clang is installed")
	}
	nothingStays(t)
}

func nothingStays(t *testing.T) {
	t.Helper()
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	t.Cleanup(func() {
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	})
}

func TestCompile(t *testing.T) {
	needsClang(t)
	folder := counterFolder(t)
	var log bytes.Buffer
	variants, report, err := Compile(t.Context(), Options{
		Folder: folder, Platforms: []string{"linux/amd64", "linux/s390x"}, Log: &log,
		Spec: schemas.Compile{CPU: "v2", Defines: []string{"STEP=3"}, Flags: []string{"-Wextra"}, Include: []string{"."}},
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for i, want := range []struct{ platform, endian, target string }{{"linux/amd64", "little", "x86"}, {"linux/s390x", "big", "s390"}} {
		v := variants[i]
		if v.Platform != want.platform || len(v.Inputs) != 1 || v.Inputs[0].Name != "counter.bpf.o" {
			t.Fatalf("variant %d is %s with %d inputs", i, v.Platform, len(v.Inputs))
		}
		obj, err := inspect.Object(v.Inputs[0].Name, v.Inputs[0].Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if obj.Endianness != want.endian || !obj.BTF || obj.Programs[0].Name != "count" {
			t.Errorf("%s: %+v", want.platform, obj)
		}
		if c := report.Objects[i].Command; !slices.Contains(c, "-D__TARGET_ARCH_"+want.target) || !slices.Contains(c, "-mcpu=v2") || !slices.Contains(c, "-DSTEP=3") {
			t.Errorf("%s: command %q", want.platform, c)
		}
		if !strings.Contains(log.String(), quoteAll(report.Objects[i].Command)) {
			t.Errorf("%s: the log does not show the command: %s", want.platform, log.String())
		}
	}
	checkFiles(t, report.Objects[0])
	if !strings.Contains(report.Clang.Version, "clang version") || report.Revision != "" {
		t.Errorf("report: %+v", report)
	}
}

// checkFiles wants the source and its header with their digests.
func checkFiles(t *testing.T, o Object) {
	t.Helper()
	digests := map[string]string{}
	for _, f := range o.Files {
		digests[f.Path] = f.Digest
	}
	for _, text := range map[string]string{"counter.bpf.c": counter, "counter.h": counterHeader} {
		if !slices.ContainsFunc(o.Files, func(f File) bool { return f.Digest == digest(text) && f.Size == int64(len(text)) }) {
			t.Errorf("files read: %v", digests)
		}
	}
	if len(o.Files) != 2 {
		t.Errorf("files read: %v", digests)
	}
}

// TestEveryArchitecture: each row of the table is one clang accepts, and the stand-in
// headers have the byte order of the target, not of the machine.
func TestEveryArchitecture(t *testing.T) {
	needsClang(t)
	if !exists("/usr/include/asm-generic/types.h") {
		t.Skip("SKIP-REASON: runs where the kernel's headers (linux-libc-dev) are installed")
	}
	folder := t.TempDir()
	write(t, folder, map[string]string{"a.bpf.c": `#include <linux/ip.h>
#include <linux/bpf.h>
#include <asm/byteorder.h>
#if defined(__BIG_ENDIAN_BITFIELD) != (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
#error another machine's headers
#endif
_Static_assert(sizeof(__u64) == 8 && sizeof(__s32) == 4, "types");
__attribute__((section("xdp"), used)) int ihl(struct iphdr *ip) { return ip->ihl; }
`})
	var platforms []string
	for _, a := range archs {
		if a.name != "386" && a.name != "arm" { // their own headers, where installed, have 32-bit longs
			platforms = append(platforms, "linux/"+a.name)
		}
	}
	var log bytes.Buffer
	variants, _, err := Compile(t.Context(), Options{Folder: folder, Platforms: platforms, Log: &log})
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	if len(variants) != len(platforms) {
		t.Errorf("%d variants of %d", len(variants), len(platforms))
	}
}

// TestOddNames: names that would mean something to a shell or to clang are
// names. Had one been more, it would have made the file "pwned".
func TestOddNames(t *testing.T) {
	needsClang(t)
	names := []string{"counter", "-o pwned", "@pwned", "$(touch pwned)", "`touch pwned`", "a;touch pwned", "a'b\"c", "a|b", "%s$$#"}
	for _, folder := range []string{"with space", `quote'"d`, "$(touch pwned)", "new\nline", "a=b", "-o", "@response"} {
		if folder != "with space" {
			names = names[:2]
		}
		dir := filepath.Join(t.TempDir(), folder)
		files := map[string]string{"counter.h": counterHeader}
		for _, name := range names {
			files[name+".bpf.c"] = counter
		}
		write(t, dir, files)
		var log bytes.Buffer
		variants, report, err := Compile(t.Context(), Options{Folder: dir, Log: &log})
		if err != nil {
			t.Errorf("in %q: %v\n%s", folder, err, log.String())
			continue
		}
		for i, o := range report.Objects {
			if variants[0].Inputs[i].Name != o.Name || !slices.Contains(names, strings.TrimSuffix(o.Name, ".bpf.o")) {
				t.Errorf("in %q: object %q", folder, o.Name)
			}
			checkFiles(t, o)
		}
		if entries, _ := os.ReadDir(dir); len(entries) != len(files) || len(report.Objects) != len(names) {
			t.Errorf("in %q: %d objects, and now %v", folder, len(report.Objects), entries)
		}
	}
}

// TestReproducible: neither the folder nor the environment gets into the object,
// with debug information or without.
func TestReproducible(t *testing.T) {
	needsClang(t)
	for _, strips := range []bool{true, false} {
		var first []byte
		for i, env := range []map[string]string{{"TZ": "Asia/Tokyo"}, {"TZ": "UTC", "CPATH": "/nowhere", "LANG": "de_DE"}} {
			lookup := func(name string) (string, bool) {
				if v, ok := env[name]; ok {
					return v, true
				}
				return os.LookupEnv(name)
			}
			opts := Options{Folder: counterFolder(t), Lookup: lookup}
			if err := os.Chmod(filepath.Join(opts.Folder, "counter.bpf.c"), os.FileMode(0o600+0o044*i)); err != nil {
				t.Fatal(err)
			}
			if !strips {
				opts.Clang, opts.Lookup = lonelyClang(t), emptyPath
			}
			variants, report, err := Compile(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if (report.Strip.Path != "") != strips {
				t.Skipf("SKIP-REASON: runs where llvm-strip is installed: %+v", report.Strip)
			}
			if i == 0 {
				first = variants[0].Inputs[0].Bytes
			} else if !bytes.Equal(first, variants[0].Inputs[0].Bytes) {
				t.Errorf("stripped %t: other bytes from another folder", strips)
			}
		}
	}
}

// lonelyClang is the compiler in a folder without llvm-strip.
func lonelyClang(t *testing.T) string {
	t.Helper()
	real, err := exec.LookPath("clang")
	if err != nil {
		t.Fatal(err)
	}
	return script(t, "clang", "exec "+quote(real)+` "$@"`)
}

func emptyPath(name string) (string, bool) {
	return "", name == "PATH"
}

func TestErrors(t *testing.T) {
	needsClang(t)
	for _, test := range []struct{ name, source, want, hint string }{
		{"syntax", "int x = ;\n", "a.bpf.c:1:9: error: expected expression", ""},
		{"vmlinux.h", "#include \"vmlinux.h\"\n", "'vmlinux.h' file not found", "bpftool btf dump file /sys/kernel/btf/vmlinux format c > "},
		{"libbpf", "#include <bpf/no_such.h>\n", "a.bpf.c:1:10: fatal error", packagesFor(needLibbpf, distribution())},
		{"kernel", "#include <linux/no_such.h>\n", "'linux/no_such.h' file not found", packagesFor(needHeaders, distribution())},
		{"registers", "#include <asm/ptrace.h>\n#include <asm/no_such.h>\n", "file not found", "linux-libc-dev-s390x-cross"},
		{"own", "#include \"no_such.h\"\n", "file not found", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			folder := t.TempDir()
			write(t, folder, map[string]string{"a.bpf.c": test.source})
			opts := Options{Folder: folder}
			if test.name == "registers" {
				opts.Platforms = []string{"linux/s390x"}
			}
			_, _, err := Compile(t.Context(), opts)
			var failed *Error
			if !errors.As(err, &failed) || !errors.Is(err, ErrCompile) || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(failed.Hint, test.hint) || (test.hint == "") != (failed.Hint == "") {
				t.Errorf("hint %q", failed.Hint)
			}
		})
	}
}

func TestPlatforms(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"", "linux", "darwin/arm64", "linux/sparc", "linux/arm/v7/x", "linux/amd64 -o x", "linux/../x"} {
		if _, err := parseTargets([]string{p}); !errors.Is(err, build.ErrOptions) {
			t.Errorf("%q: %v", p, err)
		}
	}
	if _, err := parseTargets([]string{"linux/amd64", "linux/amd64"}); !errors.Is(err, build.ErrOptions) {
		t.Errorf("twice: %v", err)
	}
	if got, err := parseTarget("linux/arm/v7"); err != nil || got.platform != "linux/arm/v7" || got.arch.define != "arm" {
		t.Errorf("%+v %v", got, err)
	}
}
