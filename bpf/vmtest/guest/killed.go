// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/rogpeppe/go-internal/testscript"
)

// killed FILE LEAST runs the first line of a file, a program with its arguments, once
// to see what it does that leaves something behind: LEAST system calls at least. Then
// it runs it again and again, and each time kills it before another one of them: with
// -full, where several of one kind follow each other, the first and, of pins, the last;
// else the first of each kind of all and, of pins, the last. After
// each time it runs the other lines, which bring back what was there: programs of the same
// names are loaded then, and the same pins there, as before the first time. A line
// that begins with "may" may fail.
func killed(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "killed FILE LEAST")
	least, err := strconv.Atoi(args[1])
	ts.Check(err)
	lines := lines(ts, args[0])
	before, err := inventory()
	ts.Check(err)
	again := func(which string) string {
		out, err := command(context.Background(), ts, "killer "+which+" "+lines[0]).CombinedOutput()
		if err != nil {
			ts.Fatalf("step %s: %v\n%s", which, err, out)
		}
		for _, line := range lines[1:] {
			line, may := strings.CutPrefix(line, "may ")
			if err := runLine(context.Background(), ts, line); err != nil && !may {
				ts.Fatalf("after step %s: %v", which, err)
			}
		}
		if err := poll(func() error { return sameInventory(before) }); err != nil {
			ts.Fatalf("after step %s: %v", which, err)
		}
		return string(out)
	}
	calls := strings.Fields(again("all"))
	ts.Logf("%q", calls)
	if len(calls) < least {
		ts.Fatalf("only %d calls", len(calls))
	}
	for i := range calls {
		if worthKilling(calls, i, *full) {
			again(strconv.Itoa(i + 1))
		}
	}
}

// worthKilling says whether a program that makes these calls is killed before call i.
func worthKilling(calls []string, i int, full bool) bool {
	name, before, after := calls[i], calls[:i], calls[i+1:]
	if full {
		// To kill it at the first of a row is to let it finish the row before.
		before, after = before[max(0, len(before)-1):], after[:min(1, len(after))]
	}
	first, last := !slices.Contains(before, name), !slices.Contains(after, name)
	return first || last && slices.Contains(partly, name)
}

// partly are the calls of which it matters that some of a row were made.
var partly = []string{"BPF_OBJ_PIN", "unlinkat"}

// numbered is the folder of a dispatcher's pins; its last number is another one for
// every change.
var numbered = regexp.MustCompile(`/(dispatch-\d+)-\d+`)

// inventory lists the programs that are loaded by their names, and all pins.
func inventory() ([]string, error) {
	var list []string
	for id := ebpf.ProgramID(0); ; {
		var err error
		if id, err = ebpf.ProgramGetNextID(id); errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("listing programs: %w", err)
		}
		name, err := programName(id)
		if err != nil {
			return nil, err
		}
		list = append(list, "program "+name)
	}
	err := filepath.WalkDir("/sys/fs/bpf", func(path string, _ fs.DirEntry, err error) error {
		list = append(list, numbered.ReplaceAllString(path, "/$1"))
		return err
	})
	slices.Sort(list)
	return list, err
}

func sameInventory(before []string) error {
	now, err := inventory()
	if err == nil && !slices.Equal(now, before) {
		err = fmt.Errorf("there are\n%s\nwant\n%s", strings.Join(now, "\n"), strings.Join(before, "\n"))
	}
	return err
}
