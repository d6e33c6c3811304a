// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/schemas"
)

func TestLabels(t *testing.T) {
	prog := schemas.InstanceProgram{Name: "count", ID: 57, Tag: "a04f5eef06a7f555"}
	for label, want := range map[string]bool{
		labelOf(prog):                           true,
		labelOf(prog) + "\x00":                  true,
		"xmit: " + labelOf(prog) + "[fd:9]\x00": true,
		"":                                      false,
		"count":                                 false,
		"count[bpfimg:57":                       false,
		"count[bpfimg:57:a04f5eef06a7f555":      false,
		"count[bpfimg:5:a04f5eef06a7f555]":      false,
		"count[bpfimg:57:a04f5eef06a7f556]":     false,
		"count[bpfimg:057:a04f5eef06a7f555]":    false,
		labelOf(prog) + labelOf(schemas.InstanceProgram{}): false,
		labelOf(prog) + "x": false,
	} {
		if got := labels(label, prog); got != want {
			t.Errorf("labels(%q) = %v, want %v", label, got, want)
		}
	}
	if !labels(labelOf(prog), schemas.InstanceProgram{ID: 57}) {
		t.Error("a tag that is not known tells programs apart")
	}
	long := schemas.InstanceProgram{Name: strings.Repeat("x", 4000), ID: 1<<32 - 1, Tag: prog.Tag}
	// The library adds "[fd:NUMBER]", and the kernel counts no zero byte.
	if n := len(labelOf(long) + "[fd:1048576]"); n > 256 || !labels(labelOf(long), long) {
		t.Errorf("a label of %d bytes", n)
	}
}

// FuzzLabels: what somebody else named does not pass for ours unless it ends as
// our labels do.
func FuzzLabels(f *testing.F) {
	prog := schemas.InstanceProgram{Name: "p", ID: 7, Tag: "00ff"}
	f.Add(labelOf(prog))
	f.Add("in: " + labelOf(prog) + "[fd:3]\x00")
	f.Add("[bpfimg:7:00ff][fd:")
	f.Fuzz(func(t *testing.T, label string) {
		if labels(label, prog) && !strings.Contains(label, "[bpfimg:7:00ff]") {
			t.Errorf("%q passes for ours", label)
		}
	})
}
