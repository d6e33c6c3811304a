// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// TestOneLine: a library joins errors with line ends; wherever we print such an
// error, it is one line without escapes.
func TestOneLine(t *testing.T) {
	theirs := fmt.Errorf("threshold not met: %w", errors.Join(errors.New("a"), errors.New("b\x1b[2J")))
	const want = `threshold not met: a; b\u001b[2J`
	for _, tt := range []struct {
		name  string
		print func(*terminal)
		want  string
	}{
		{"error", func(t *terminal) { t.fail(theirs) }, "error: " + want + "\n"},
		{"notice", func(t *terminal) { t.notice("not kept: %s: %v", "x", theirs) }, "not kept: x: " + want + "\n"},
		{"log", func(t *terminal) { t.logger(false).Warn("cut", "because", theirs) }, "warning: cut (because=" + want + ")\n"},
		{"log with", func(t *terminal) { t.logger(false).With("because", theirs).Warn("cut") }, "warning: cut (because=" + want + ")\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var errs bytes.Buffer
			tt.print(&terminal{err: &escaper{w: &errs}})
			if errs.String() != tt.want {
				t.Errorf("got %q, want %q", errs.String(), tt.want)
			}
		})
	}
}
