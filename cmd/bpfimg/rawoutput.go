// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"io"

	"golang.org/x/term"
)

// bytes writes data to standard output as it is, for files and other programs. On a
// terminal it is escaped like everything else.
func (t *terminal) bytes(data []byte) error {
	out, escapes := t.out.(*escaper)
	if !escapes || t.onScreen() {
		_, err := t.out.Write(data)
		return err
	}
	n, err := out.w.Write(data)
	if err == nil && n < len(data) {
		err = io.ErrShortWrite
	}
	if err != nil && out.failed == nil {
		out.failed = err
	}
	return err
}

// onScreen says whether standard output is a terminal.
func (t *terminal) onScreen() bool {
	return t.screen != nil && term.IsTerminal(int(t.screen.Fd()))
}
