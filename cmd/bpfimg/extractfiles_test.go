// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/pull"
)

// TestExtractedNames: the names come from a stranger, and become files of a folder of
// ours. Nothing is written for any of these, not even the good one before it.
func TestExtractedNames(t *testing.T) {
	for _, name := range []string{
		"", ".", "..", "../x.o", "/x.o", "a/x.o", `a\x.o`, "x\x00.o", "x\n.o", "x\x1b[31m.o", "x\u202eo.", "x\xff.o", "a.o", "A.O",
		strings.Repeat("x", maxFileName+1),
	} {
		dir := filepath.Join(t.TempDir(), "out")
		_, err := writeObjects(dir, []pull.Object{{File: "a.o", Bytes: []byte("a")}, {File: name, Bytes: []byte("b")}}, true)
		if err == nil {
			t.Errorf("%q was written", name)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("%q: there is a folder: %v", name, err)
		}
	}
}

// TestExtractLeavesNothing: after a failure the folder is as it was.
func TestExtractLeavesNothing(t *testing.T) {
	for _, force := range []bool{false, true} {
		dir := t.TempDir()
		// A folder cannot be replaced by a file, nor be taken for one.
		if err := os.Mkdir(filepath.Join(dir, "b.o"), 0o700); err != nil {
			t.Fatal(err)
		}
		objects := []pull.Object{{File: "b.o", Bytes: []byte("b")}}
		if !force {
			objects = append([]pull.Object{{File: "a.o", Bytes: []byte("a")}}, objects...)
		}
		if _, err := writeObjects(dir, objects, force); err == nil {
			t.Errorf("force %t: a folder was replaced", force)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 1 || !entries[0].IsDir() {
			t.Errorf("force %t: left %v (%v)", force, entries, err)
		}
	}
}

// TestExtractKeepsFiles: what is there is left alone.
func TestExtractKeepsFiles(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.o"), []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := writeObjects(dir, []pull.Object{{File: "a.o", Bytes: []byte("new")}}, false); err == nil {
		t.Error("a file was replaced")
	}
	if got, err := os.ReadFile(filepath.Join(dir, "a.o")); err != nil || string(got) != "old" {
		t.Errorf("%q, want the old one (%v)", got, err)
	}
}

// TestExtractFollowsNoLink: of a link in the folder, to a file elsewhere, neither what
// it points to nor, without force, the link itself is touched.
func TestExtractFollowsNoLink(t *testing.T) {
	dir, victim := t.TempDir(), filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "a.o")
	if err := os.Symlink(victim, link); err != nil {
		t.Skip("SKIP-REASON: no symbolic links here: ", err)
	}
	objects := []pull.Object{{File: "a.o", Bytes: []byte("new")}}
	if _, err := writeObjects(dir, objects, false); err == nil {
		t.Error("a link was replaced")
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
	if _, err := writeObjects(dir, objects, true); err != nil {
		t.Error(err)
	}
	for path, want := range map[string]string{victim: "old", link: "new"} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, want %q (%v)", path, got, want, err)
		}
	}
}
