// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package inspect

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite testdata/*.golden*")

// ciliumDir is the folder of the cilium/ebpf module.
func ciliumDir(t testing.TB) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cilium/ebpf").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// objectsBelow lists the objects below a folder, by their path within it.
func objectsBelow(t testing.TB, dir string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); err == nil && !entry.IsDir() && (ext == ".o" || ext == ".elf") {
			rel, _ := filepath.Rel(dir, path)
			found = append(found, filepath.ToSlash(rel))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(found)
	return found
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// golden compares got with a file below testdata, or writes it with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(string(read(t, path)), "\n"), strings.Split(string(got), "\n")); diff != "" {
		t.Errorf("%s differs (-want +got), run with -update if it should:\n%s", path, diff)
	}
}

// outcome is one line on what inspection says of a file: its programs, or why it
// is refused.
func outcome(t *testing.T, name string, data []byte) string {
	t.Helper()
	obj, err := Object(filepath.Base(name), data)
	if err != nil {
		if !errors.Is(err, ErrUnreadable) && !errors.Is(err, ErrNoPrograms) {
			t.Errorf("%s: %v wraps none of the errors for a BPF object", name, err)
		}
		if strings.ContainsRune(err.Error(), '\n') || strings.Contains(err.Error(), "gave up") {
			t.Errorf("%s: not a clear error: %v", name, err)
		}
		return "refused: " + err.Error()
	}
	var programs []string
	for _, p := range obj.Programs {
		hook := p.Hook
		if p.Target != "" {
			hook += ":" + p.Target
		}
		programs = append(programs, fmt.Sprintf("%s %s[%s]=%s since %s (%s)", p.Type, p.Name, p.AttachType, hook,
			p.MinKernel, strings.Join(p.NewestFeatures(), ", ")))
	}
	tags := obj.Endianness
	if obj.Arch != "" {
		tags += " " + obj.Arch
	}
	return fmt.Sprintf("%s, %d maps, %d variables: %s", tags, len(obj.Maps), len(obj.Variables), strings.Join(programs, ", "))
}

// corpus compares the outcome of every object in a folder with a golden table.
func corpus(t *testing.T, dir, table string, least int) {
	t.Helper()
	names := objectsBelow(t, dir)
	if len(names) < least {
		t.Fatalf("%d objects below %s, expected at least %d", len(names), dir, least)
	}
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s: %s\n", name, outcome(t, name, read(t, filepath.Join(dir, filepath.FromSlash(name)))))
	}
	golden(t, table, []byte(b.String()))
}

func TestCiliumObjects(t *testing.T) {
	corpus(t, ciliumDir(t), "cilium.golden.txt", 100)
}

func TestXDPToolsObjects(t *testing.T) {
	found, err := filepath.Glob("/usr/lib/*/bpf/xdp-dispatcher.o")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Skip("SKIP-REASON: runs where Debian's xdp-tools is installed")
	}
	corpus(t, filepath.Dir(found[0]), "xdp-tools.golden.txt", 10)
}
