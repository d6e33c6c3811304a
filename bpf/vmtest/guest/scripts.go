// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// runScripts runs every script of dir, one after the other, prints what they
// did and says whether all passed.
func runScripts(dir string, deadline time.Time) bool {
	return runTest("scripts", func(t testscript.T) {
		testscript.RunT(t, testscript.Params{
			Dir:                 dir,
			Setup:               setupScript,
			Condition:           condition,
			Cmds:                commands(),
			RequireUniqueNames:  true,
			RequireExplicitExec: true,
			Deadline:            deadline,
		})
	})
}

// scriptEnv are the variables a script's programs may look at.
var scriptEnv = []string{"PATH", "HOME", "TMPDIR", "BPFIMG_ROOT", "BPFIMG_BPFFS"}

// setupScript gives a script state, pins and a home of its own.
func setupScript(env *testscript.Env) error {
	home := filepath.Join(env.WorkDir, ".home")
	if err := os.Mkdir(home, 0o700); err != nil {
		return err
	}
	env.Setenv("HOME", home)
	env.Setenv("EXAMPLES", "/src/examples")
	env.Setenv("OBJECTS", "/src/bpf/testdata")
	env.Setenv("BPFIMG_ROOT", filepath.Join(env.WorkDir, ".state"))
	env.Setenv("BPFIMG_BPFFS", "/sys/fs/bpf/"+filepath.Base(env.WorkDir))
	return nil
}

// test is one running script, or all of them: what testscript needs of a
// testing.T, which only `go test` can make.
type test struct {
	name            string
	failed, skipped bool
}

// runTest runs f to its end, which it may also reach through FailNow, and says
// whether it passed.
func runTest(name string, f func(testscript.T)) bool {
	t := &test{name: name}
	done := make(chan struct{})
	start := time.Now()
	go func() {
		defer close(done)
		defer func() {
			if r := recover(); r != nil {
				t.failed = true
				t.Log(fmt.Sprintf("panic: %v\n%s", r, debug.Stack()))
			}
		}()
		f(t)
	}()
	<-done
	word := "PASS"
	switch {
	case t.failed:
		word = "FAIL"
	case t.skipped:
		word = "SKIP"
	}
	fmt.Printf("--- %s: %s (%.2fs)\n", word, name, time.Since(start).Seconds())
	return !t.failed
}

// Run runs one script to its end.
func (t *test) Run(name string, f func(testscript.T)) {
	if !runTest(t.name+"/"+name, f) {
		t.failed = true
	}
}

// Log prints, indented.
func (t *test) Log(args ...any) {
	text := strings.TrimRight(fmt.Sprintln(args...), "\n")
	fmt.Println("    " + strings.ReplaceAll(text, "\n", "\n    "))
}

// Fatal logs and ends the calling goroutine, which is the test's.
func (t *test) Fatal(args ...any) {
	t.Log(args...)
	t.FailNow()
}

// FailNow ends the calling goroutine, which is the test's.
func (t *test) FailNow() {
	t.failed = true
	runtime.Goexit()
}

// Skip logs and ends the calling goroutine, which is the test's.
func (t *test) Skip(args ...any) {
	t.Log(args...)
	t.skipped = true
	runtime.Goexit()
}

// Parallel does nothing: the machine has one processor, and scripts share its
// kernel.
func (t *test) Parallel() {}

// Verbose keeps what passed out of the log; a script that fails shows all.
func (t *test) Verbose() bool { return false }
