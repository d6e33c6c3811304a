// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestDynamic looks at a program that every Linux machine has.
func TestDynamic(t *testing.T) {
	if runtime.GOOS != "linux" || runtime.GOARCH != "amd64" {
		t.Skip("SKIP-REASON: reads programs of a linux/amd64 machine; run it there")
	}
	files, err := Dynamic("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	if f := files["/bin/sh"]; f.Path != "/bin/sh" || !f.Executable {
		t.Errorf("the program is %+v", f)
	}
	for _, want := range []string{"ld-linux-x86-64.so.2", "libc.so.6"} {
		found := false
		for name, f := range files {
			found = found || filepath.Base(name) == want && f.Path == name && f.Executable
		}
		if !found {
			t.Errorf("no %s among %v", want, files)
		}
	}
}

// TestFindLibrary: the first folder counts that has one for the machine, and one
// for another machine is passed over.
func TestFindLibrary(t *testing.T) {
	foreign, first, second := t.TempDir(), t.TempDir(), t.TempDir()
	write := func(dir, name string, machine byte) {
		t.Helper()
		// An ELF header for EM_386 (3) or EM_X86_64 (62) and nothing else.
		header := make([]byte, 64)
		copy(header, "\x7fELF\x02\x01\x01")
		header[16], header[18], header[20], header[52] = 3, machine, 1, 64
		header[58] = 64 // e_shentsize
		if err := os.WriteFile(filepath.Join(dir, name), header, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(foreign, "liba.so", 3)
	write(first, "liba.so", 62)
	write(second, "liba.so", 62)
	write(second, "libb.so", 62)
	folders := []string{foreign, first, second}
	for name, want := range map[string]string{"liba.so": first, "libb.so": second} {
		got, err := findLibrary(name, folders)
		if err != nil || got != filepath.Join(want, name) {
			t.Errorf("%s: got %q, %v; want it in %s", name, got, err, want)
		}
	}
	for _, name := range []string{"libc.so", "../liba.so", first + "/liba.so"} {
		if got, err := findLibrary(name, folders); !errors.Is(err, ErrNoLibrary) {
			t.Errorf("%s: got %q, %v; want %v", name, got, err, ErrNoLibrary)
		}
	}
	if err := os.WriteFile(filepath.Join(first, "broken.so"), []byte("this is no ELF file"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := findLibrary("broken.so", folders); err == nil || !strings.Contains(err.Error(), "bad magic") {
		t.Errorf("a broken library: %v", err)
	}
}
