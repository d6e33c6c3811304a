// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"

	"github.com/bpfimg/bpfimg/internal/joined"
	"golang.org/x/term"
)

// terminal is where a command reads and prints. out and err let no terminal
// escape through, whatever a registry, an ELF file or a map put into a string
// (compare CVE-2026-25996): raw is for the progress bar alone.
type terminal struct {
	in       io.Reader
	out, err io.Writer
	raw      *os.File
	screen   *os.File                    // standard output, past the escaping
	lookup   func(string) (string, bool) // environment variables
}

func newTerminal(in, out, errw *os.File, lookup func(string) (string, bool)) *terminal {
	return &terminal{in: in, out: &escaper{w: out}, err: &escaper{w: errw}, raw: errw, screen: out, lookup: lookup}
}

// interactive says whether a person watches standard error.
func (t *terminal) interactive() bool {
	return t.raw != nil && term.IsTerminal(int(t.raw.Fd()))
}

// clear empties the screen before a refresh; off a terminal, prints follow each
// other.
func (t *terminal) clear() {
	if t.onScreen() {
		fmt.Fprint(t.screen, "\x1b[H\x1b[2J")
	}
}

// lost is the error of output that could not be written, such as to a full disk,
// whether or not who printed it looked.
func (t *terminal) lost() error {
	if out, ok := t.out.(*escaper); ok && out.failed != nil {
		return fmt.Errorf("writing the output: %w", out.failed)
	}
	return nil
}

// notice prints a sentence for the person, off the output that scripts read.
func (t *terminal) notice(format string, args ...any) {
	for i, a := range args {
		if err, ok := a.(error); ok {
			args[i] = joined.Text(err)
		}
	}
	fmt.Fprintf(t.err, "%s\n", safe(fmt.Sprintf(format, args...)))
}

// json prints v as one indented document.
func (t *terminal) json(v any) error {
	enc := json.NewEncoder(t.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// table prints rows in aligned columns, below a header unless that is nil. Cells are escaped.
func (t *terminal) table(header []string, rows [][]string) error {
	w := tabwriter.NewWriter(t.out, 0, 8, 2, ' ', 0)
	if header != nil {
		writeRow(w, header)
	}
	for _, row := range rows {
		writeRow(w, row)
	}
	return w.Flush()
}

func writeRow(w io.Writer, cells []string) {
	clean := make([]string, len(cells))
	for i, c := range cells {
		if clean[i] = safe(c); c == "" {
			clean[i] = "-"
		}
	}
	fmt.Fprintln(w, strings.Join(clean, "\t"))
}

// safe escapes everything in a foreign string that is not printable, line ends
// included, so that it stays within its line and its column.
func safe(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		writeSafe(&b, r)
	}
	return b.String()
}

// writeSafe writes r, or its \uXXXX form, which is valid in JSON strings too.
// unicode.IsPrint is false for control, format (bidirectional overrides among
// them) and private-use characters and for every space but U+0020.
func writeSafe(b *strings.Builder, r rune) {
	switch {
	case unicode.IsPrint(r) && r != utf8.RuneError:
		b.WriteRune(r)
	case r > 0xffff:
		hi, lo := (r-0x10000)>>10+0xd800, (r-0x10000)&0x3ff+0xdc00
		fmt.Fprintf(b, "\\u%04x\\u%04x", hi, lo)
	default:
		fmt.Fprintf(b, "\\u%04x", r)
	}
}

// escaper is the last line of defence behind [safe]: it escapes what is not
// printable but lets line ends and tabs through. A rune split over two writes
// comes out as escaped replacement characters; our own printing never does that.
type escaper struct {
	w io.Writer
	// failed is the first error of w.
	failed error
}

func (e *escaper) Write(p []byte) (int, error) {
	var b strings.Builder
	for _, r := range string(p) {
		if r == '\n' || r == '\t' {
			b.WriteRune(r)
			continue
		}
		writeSafe(&b, r)
	}
	if _, err := io.WriteString(e.w, b.String()); err != nil {
		if e.failed == nil {
			e.failed = err
		}
		return 0, err
	}
	return len(p), nil
}
