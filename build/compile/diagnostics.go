// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
)

// Limits of what one run of a tool may print: a broken macro in a loop can
// print for ever.
const (
	// MaxDiagnostics is how many lines are passed on.
	MaxDiagnostics = 1000
	maxLine        = 4096 // bytes; longer ones are cut
)

// diagnostics passes on what a tool prints as it comes, by whole lines, and
// keeps the line that says why it failed.
type diagnostics struct {
	out     io.Writer
	lines   int
	partial []byte
	// why is the first line with an error.
	why string
	// missing is the header that was not found.
	missing string
	// untargeted: this clang was built without BPF.
	untargeted bool
}

func (d *diagnostics) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part, after, ended := bytes.Cut(rest, []byte("\n"))
		rest = after
		d.partial = append(d.partial, part[:min(len(part), maxLine-len(d.partial))]...)
		if ended {
			d.flush()
		}
	}
	return len(p), nil
}

// close passes on a last line without an end.
func (d *diagnostics) close() {
	if len(d.partial) > 0 {
		d.flush()
	}
}

var (
	errorLine     = lazyregexp.New(`(^|: )(fatal )?error: `)
	missingHeader = lazyregexp.New(`fatal error: '([^']+)' file not found`)
	noTarget      = lazyregexp.New(`(unable to create target|unknown target triple).*bpf`)
)

func (d *diagnostics) flush() {
	line := string(d.partial)
	d.partial = d.partial[:0]
	if d.why == "" && errorLine().MatchString(line) {
		d.why = strings.TrimPrefix(line, "./")
	}
	if m := missingHeader().FindStringSubmatch(line); m != nil && d.missing == "" {
		d.missing = m[1]
	}
	d.untargeted = d.untargeted || noTarget().MatchString(line)
	d.lines++
	switch {
	case d.lines <= MaxDiagnostics:
		fmt.Fprintln(d.out, line) // nowhere to report to if it fails: this is the report
	case d.lines == MaxDiagnostics+1:
		fmt.Fprintf(d.out, "(further lines are left out after %d)\n", MaxDiagnostics)
	}
}
