// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

func tracingRows() []row {
	return []row{
		{
			hook: "kprobe", object: "unlink", shipped: true, attach: []string{"count_unlink=kprobe:vfs_unlink", "time_unlink=none"},
			event: unlinkFiles, counter: "calls", atLeast: files,
		},
		{
			// Its program counts only calls whose start the other one saw.
			hook: "kretprobe", object: "unlink", attach: []string{"count_unlink=kprobe:vfs_unlink", "time_unlink=kretprobe:vfs_unlink"},
			event: unlinkFiles, counter: "spent", atLeast: files,
		},
		{hook: "tracepoint", object: "exec", event: execute, counter: "execs"},
		{hook: "raw_tracepoint", object: "rawtp", attach: []string{"count_btf=none"}, event: execute, counter: "hits"},
		{hook: "tp_btf", object: "rawtp", attach: []string{"count_raw=none"}, event: execute, counter: "hits"},
		{
			hook: "fentry", object: "fentry", attach: []string{"count_exit=none", "count_check=none"},
			event: unlinkFiles, counter: "hits", atLeast: files,
		},
		{
			hook: "fexit", object: "fentry", attach: []string{"count_entry=none", "count_check=none"},
			event: unlinkFiles, counter: "hits", atLeast: files,
		},
		{
			hook: "fmod_ret", object: "fentry", attach: []string{"count_entry=none", "count_exit=none"},
			event: unlinkFiles, counter: "hits", atLeast: files,
		},
		{hook: "lsm", object: "lsm", event: unlinkFiles, counter: "hits", atLeast: files},
		{
			hook: "uprobe", object: "uprobe", attach: []string{"count_call=uprobe:$SELF:main.probed", "count_return=none"},
			event: callMe, counter: "hits", atLeast: probedCalls,
		},
		{
			hook: "uretprobe", object: "uprobe", attach: []string{"count_return=uretprobe:$SELF:main.probed", "count_call=none"},
			event: callMe, counter: "hits", atLeast: probedCalls,
		},
	}
}

// files is how many an event removes.
const files = 5

// unlinkFiles makes and removes files: a call of the kernel's vfs_unlink each, a
// function that every kernel of the matrix has.
func unlinkFiles(e *env) error {
	path := filepath.Join(e.dir, "file")
	for range files {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		if err := unix.Unlink(path); err != nil {
			return err
		}
	}
	return nil
}

// execute starts a program.
func execute(e *env) error { return e.child("nothing", "") }

// callMe has another process of this binary call what is probed.
func callMe(e *env) error { return e.child("call", "") }
