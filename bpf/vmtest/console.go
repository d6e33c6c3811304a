// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest

import (
	"bytes"
	"io"
	"strconv"
	"strings"
)

// Limits on what is kept of a console: a guest may print for ever.
const (
	maxLine = 64 << 10
	tailLen = 60
)

// console takes what a machine prints, passes it on line by line, and keeps the
// status and the last lines. It is written by one goroutine at a time: os/exec
// uses one for a writer that is both stdout and stderr.
type console struct {
	log     io.Writer
	err     error
	partial []byte
	last    []string
	found   string
	hasIt   bool
}

func newConsole(log io.Writer) *console {
	if log == nil {
		log = io.Discard
	}
	return &console{log: log}
}

// Write never fails, so that qemu is not stopped by a full log.
func (c *console) Write(p []byte) (int, error) {
	c.partial = append(c.partial, p...)
	for {
		line, rest, ok := bytes.Cut(c.partial, []byte("\n"))
		if !ok && len(line) < maxLine {
			return len(p), nil
		}
		c.line(string(line))
		c.partial = append(c.partial[:0], rest...)
	}
}

// flush takes an unfinished last line for a whole one.
func (c *console) flush() {
	if len(c.partial) > 0 {
		c.line(string(c.partial))
		c.partial = nil
	}
}

func (c *console) line(s string) {
	s = strings.TrimRight(s, "\r")
	// A kernel message may stand before it on the line.
	if _, status, ok := strings.Cut(s, StatusPrefix); ok {
		c.found, c.hasIt = strings.TrimSpace(status), true
		return
	}
	c.last = append(c.last, s)
	if len(c.last) > tailLen {
		c.last = c.last[1:]
	}
	if _, err := io.WriteString(c.log, s+"\n"); err != nil && c.err == nil {
		c.err = err
	}
}

// status is what the guest reported, if it did.
func (c *console) status() (int, bool) {
	n, err := strconv.Atoi(c.found)
	return n, c.hasIt && err == nil
}

func (c *console) tail() string { return strings.Join(c.last, "\n") }
