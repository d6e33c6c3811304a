// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/bpf/inspect"
)

// TestRows checks what can be checked without running them: that every hook
// bpfimg attaches to has a row, and every row a hook, an object, an effect and a
// title of its own.
func TestRows(t *testing.T) {
	delivered, covered, titles := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, h := range inspect.Hooks() {
		delivered[h.Name] = h.Delivered
	}
	for _, r := range rows() {
		covered[r.hook] = true
		if !delivered[r.hook] {
			t.Errorf("%s: bpfimg attaches to no such hook", r.title())
		}
		if titles[r.title()] {
			t.Errorf("%s: there is another row of that title", r.title())
		}
		titles[r.title()] = true
		if !objectExists(t, r.object) {
			t.Errorf("%s: no object %s.bpf.o in bpf/testdata or examples", r.title(), r.object)
		}
		// Where setup finds no device there is nothing to look for.
		if r.counter == "" && r.seen == nil && r.setup == nil {
			t.Errorf("%s: it looks for no effect", r.title())
		}
		if r.event == nil && !r.once && r.setup == nil {
			t.Errorf("%s: it makes no event", r.title())
		}
	}
	for name, is := range delivered {
		if is && !covered[name] {
			t.Errorf("no row puts hook %s to work", name)
		}
	}
}

// TestShipped: of every family, one row calls the binary that ships on every kernel;
// among them are one that is held in the foreground and one that names another process.
func TestShipped(t *testing.T) {
	foreground, pid := false, false
	for _, f := range families() {
		count := 0
		for _, r := range f.rows {
			if r.shipped {
				count++
				foreground = foreground || r.foreground
				pid = pid || strings.Contains(strings.Join(r.attach, " "), "$PID")
			}
		}
		if count != 1 {
			t.Errorf("%s: %d rows call the binary that ships, want 1", f.name, count)
		}
	}
	if !foreground || !pid {
		t.Errorf("of the rows that call the binary that ships, one is in the foreground: %v; one names a process: %v", foreground, pid)
	}
}

func objectExists(t *testing.T, name string) bool {
	t.Helper()
	if _, err := os.Stat("../../testdata/" + name + ".bpf.o"); err == nil {
		return true
	}
	found, err := filepath.Glob("../../../examples/*/" + name + ".bpf.o")
	return err == nil && len(found) == 1
}
