// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/limited"
	"golang.org/x/term"
)

// stdio stands for standard input or output where the name of a file is wanted.
const stdio = "-"

// maxStart is how many bytes tell an object from an archive.
const maxStart = 4

// fileText reads a file, or standard input, of at most limit bytes.
func (t *terminal) fileText(ctx context.Context, path string, limit int64) ([]byte, error) {
	if path != stdio {
		return limited.ReadFile(path, limit)
	}
	in, err := t.input()
	if err != nil {
		return nil, err
	}
	return t.allOf(ctx, in, limit)
}

// allOf reads what comes from standard input.
func (t *terminal) allOf(ctx context.Context, in io.Reader, limit int64) ([]byte, error) {
	data, err := waitFor(ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(in, limit+1)) })
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("over the limit of %d bytes", limit)
	}
	if err != nil {
		return nil, fmt.Errorf("standard input: %w", err)
	}
	return data, nil
}

// input is standard input, where something was sent into it.
func (t *terminal) input() (io.Reader, error) {
	if f, ok := t.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return nil, usagef("standard input is a terminal: send a file into it, or name one")
	}
	return t.in, nil
}

// binary is standard output for what is not to be read by people.
func (t *terminal) binary() (io.Writer, error) {
	if t.screen == nil || term.IsTerminal(int(t.screen.Fd())) {
		return nil, usagef("standard output is a terminal: send it into a file or a program, or name a file")
	}
	// A reader that goes away is an error then, after which what was collected is
	// removed, and no end of the process.
	signal.Ignore(syscall.SIGPIPE)
	return t.screen, nil
}

// withoutOutput is s for when standard output holds the result itself: what is said
// about it goes to standard error.
func (s *session) withoutOutput() *session {
	quiet, t := *s, *s.term
	t.out = s.term.err
	quiet.term = &t
	return &quiet
}

// isStream says whether a path is a descriptor of this process that is a pipe, such
// as /dev/stdin or what a shell makes of <(…). Other pipes might never answer.
func isStream(path string) bool {
	if path != "/dev/stdin" && !strings.HasPrefix(path, "/dev/fd/") && !strings.HasPrefix(path, "/proc/self/fd/") {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular() && !info.IsDir()
}

// openArchive opens an archive in a file, or one that comes from standard input or
// another pipe, which is kept in the state folder until it is closed.
func (s *session) openArchive(ctx context.Context, path string) (image.Archive, error) {
	switch {
	case path == stdio:
		in, err := s.term.input()
		if err != nil {
			return nil, err
		}
		return s.readArchive(ctx, in, "standard input")
	case isStream(path):
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		a, err := s.readArchive(ctx, f, path)
		return a, joined.Errors(err, f.Close())
	}
	return image.OpenArchive(ctx, path)
}

func (s *session) readArchive(ctx context.Context, in io.Reader, where string) (image.Archive, error) {
	dir, err := s.scratch()
	if err != nil {
		return nil, err
	}
	return waitFor(ctx, func() (image.Archive, error) { return image.ReadArchive(ctx, in, dir, where) })
}

// scratch is a folder for what may be large and is soon gone: unlike the system's, it
// is not in memory.
func (s *session) scratch() (string, error) { return s.root, os.MkdirAll(s.root, 0o700) }

// startOf reads the first bytes of standard input, and returns them with all of it.
func startOf(ctx context.Context, in io.Reader) (string, io.Reader, error) {
	all := bufio.NewReader(in)
	start, err := waitFor(ctx, func() ([]byte, error) { return all.Peek(maxStart) })
	if err != nil && !errors.Is(err, io.EOF) {
		return "", nil, fmt.Errorf("standard input: %w", err)
	}
	return string(start), all, nil
}
