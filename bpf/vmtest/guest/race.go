// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/rogpeppe/go-internal/testscript"
)

// race FILE=ROUNDS… runs the lines of several files at the same time, as so many
// shells would: each line is a program with its arguments, each file is run
// ROUNDS times, and a line that fails ends them all, unless it begins with "retry",
// which has it tried again until it succeeds. In a line, id(NAME) is the kernel's id
// of the newest program of that name.
func race(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "race FILE=ROUNDS...")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan error, len(args))
	for _, arg := range args {
		name, number, _ := strings.Cut(arg, "=")
		rounds, err := strconv.Atoi(number)
		if err != nil {
			ts.Fatalf("race %s: %v", arg, err)
		}
		lines := lines(ts, name)
		go func() {
			err := repeat(ctx, ts, rounds, lines)
			if err != nil {
				cancel()
				err = fmt.Errorf("%s: %w", name, err)
			}
			done <- err
		}()
	}
	var errs []error
	for range args {
		errs = append(errs, <-done)
	}
	if err := errors.Join(errs...); err != nil {
		ts.Fatalf("%v", err)
	}
}

// lines are those of a file, with variables in their places.
func lines(ts *testscript.TestScript, name string) []string {
	return strings.Split(strings.TrimSpace(os.Expand(ts.ReadFile(name), ts.Getenv)), "\n")
}

// repeat runs the lines, rounds times.
func repeat(ctx context.Context, ts *testscript.TestScript, rounds int, lines []string) error {
	for round := range rounds {
		for _, line := range lines {
			line, again := strings.CutPrefix(line, "retry ")
			attempt := func() error { return runLine(ctx, ts, line) }
			err := attempt()
			if err != nil && again && ctx.Err() == nil {
				ts.Logf("round %d: again: %v", round+1, err)
				err = poll(attempt)
			}
			if err != nil {
				return fmt.Errorf("round %d: %w", round+1, err)
			}
		}
	}
	return nil
}

var programID = regexp.MustCompile(`id\(([^)]+)\)`)

func runLine(ctx context.Context, ts *testscript.TestScript, line string) error {
	var idErr error
	line = programID.ReplaceAllStringFunc(line, func(s string) string {
		id, err := newestProgram(programID.FindStringSubmatch(s)[1])
		idErr = errors.Join(idErr, err)
		return strconv.Itoa(int(id))
	})
	if idErr != nil {
		return fmt.Errorf("%s: %w", line, idErr)
	}
	if out, err := command(ctx, ts, line).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", line, err, out)
	}
	return nil
}

// command is a line as a script's programs are run.
func command(ctx context.Context, ts *testscript.TestScript, line string) *exec.Cmd {
	words := strings.Fields(line)
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, key := range scriptEnv {
		cmd.Env = append(cmd.Env, key+"="+ts.Getenv(key))
	}
	return cmd
}

// newestProgram is the kernel's id of the last loaded program of a name.
func newestProgram(name string) (newest ebpf.ProgramID, err error) {
	for id := ebpf.ProgramID(0); ; {
		id, err = ebpf.ProgramGetNextID(id)
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return 0, fmt.Errorf("listing programs: %w", err)
		}
		called, err := programName(id)
		if err != nil {
			return 0, err
		}
		if called == name {
			newest = id
		}
	}
	if newest == 0 {
		return 0, fmt.Errorf("no program is called %q", name)
	}
	return newest, nil
}

// programName is the name of a program, "" when it went away meanwhile.
func programName(id ebpf.ProgramID) (name string, err error) {
	p, err := ebpf.NewProgramFromID(id)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("opening program %d: %w", id, err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	info, err := p.Info()
	if err != nil {
		return "", fmt.Errorf("asking about program %d: %w", id, err)
	}
	return info.Name, nil
}

// programid NAME VARIABLE sets a variable to the id of the newest program of a
// name.
func programid(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "programid NAME VARIABLE")
	id, err := newestProgram(args[0])
	ts.Check(err)
	ts.Setenv(args[1], strconv.Itoa(int(id)))
}
