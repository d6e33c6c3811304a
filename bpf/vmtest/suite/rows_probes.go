// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"syscall"
)

// probeRows are the hooks on functions by pattern, on system calls, in containers
// and on static probes.
func probeRows() []row {
	calls, returns, both := "count_calls=none", "count_returns=none", "count_both=none"
	return []row{
		{
			hook: "kprobe", variant: "offset", object: "unlink", attach: []string{"count_unlink=kprobe:vfs_unlink+0x0", "time_unlink=none"},
			event: unlinkFiles, counter: "calls", atLeast: files,
		},
		{hook: "kprobe.multi", object: "kmulti", attach: []string{returns, both}, event: unlinkFiles, counter: "hits", atLeast: files},
		{hook: "kretprobe.multi", object: "kmulti", attach: []string{calls, both}, event: unlinkFiles, counter: "hits", atLeast: files},
		{hook: "kprobe.session", object: "kmulti", attach: []string{calls, returns}, event: unlinkFiles, counter: "hits", atLeast: 2 * files},
		{hook: "ksyscall", object: "ksyscall", attach: []string{"count_return=none"}, event: unlinkFiles, counter: "hits", atLeast: files},
		{hook: "kretsyscall", object: "ksyscall", attach: []string{"count_unlinkat=none"}, event: unlinkFiles, counter: "hits", atLeast: files},
		{
			hook: "uprobe", variant: "container", object: "uprobe",
			attach: []string{"count_call=uprobe:/program:main.probed,mntns=pid:$PID", "count_return=none"},
			setup:  contain, event: haveContainedCall, counter: "hits", atLeast: probedCalls,
		},
		{
			hook: "uprobe.multi", object: "umulti", attach: []string{"count_calls=uprobe.multi:$SELF:main.probe?", returns, both},
			event: callMe, counter: "hits", atLeast: probedCalls,
		},
		{
			hook: "uretprobe.multi", object: "umulti", attach: []string{"count_returns=uretprobe.multi:$SELF:main.probe?", calls, both},
			event: callMe, counter: "hits", atLeast: probedCalls,
		},
		{
			hook: "uprobe.session", object: "umulti", shipped: true, attach: []string{"count_both=uprobe.session:$SELF:main.probe?", calls, returns},
			event: callMe, counter: "hits", atLeast: 2 * probedCalls,
		},
		{
			hook: "usdt", object: "usdt", attach: []string{"sum_args=usdt:$PROGRAM:suite:probed", "count_hits=none"},
			setup: addProbe, event: callStatic, counter: "sums", atLeast: probedCalls, seen: sawArguments,
		},
		{
			hook: "usdt", variant: "without arguments", object: "usdt", attach: []string{"count_hits=usdt:$PROGRAM:suite:probed", "sum_args=none"},
			setup: addProbe, event: callStatic, counter: "sums", atLeast: probedCalls,
		},
	}
}

// contain starts a copy of this program in a mount namespace and a root of its
// own, where it is /program.
func contain(e *env) error {
	root := filepath.Join(e.dir, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return err
	}
	program, err := os.ReadFile(e.vars["SELF"])
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(root, "program"), program, 0o755); err != nil {
		return err
	}
	cmd := exec.Command("/program", childArgument, "obey")
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWNS}
	if e.stdin, err = cmd.StdinPipe(); err != nil {
		return err
	}
	if e.stdout, err = cmd.StdoutPipe(); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting a program in a container: %w", err)
	}
	e.cleanup(func() error { return errors.Join(e.stdin.Close(), cmd.Wait()) })
	e.set("PID", strconv.Itoa(cmd.Process.Pid))
	return nil
}

// haveContainedCall has the program in the container call what is probed.
func haveContainedCall(e *env) error {
	if _, err := io.WriteString(e.stdin, "call\n"); err != nil {
		return err
	}
	if line, err := bufio.NewReader(e.stdout).ReadString('\n'); err != nil {
		return fmt.Errorf("the program in the container said %q: %w", line, err)
	}
	return nil
}

// obey calls what is probed for each line it reads.
func obey() error {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		if err := callProbed(); err != nil {
			return err
		}
		fmt.Println("done")
	}
	return nil
}

// addProbe makes a copy of this program with a static probe at main.probed.
func addProbe(e *env) error {
	program, err := os.ReadFile(e.vars["SELF"])
	if err != nil {
		return err
	}
	// The suite is linked for one place in memory, and that is where it is.
	address := uint64(reflect.ValueOf(probed).Pointer())
	path := filepath.Join(e.dir, "program")
	e.set("PROGRAM", path)
	return os.WriteFile(path, withStaticProbe(program, address, "suite", "probed", probedArguments), 0o755)
}

// probedArguments are main.probed's own argument, which Go passes in rax, and two
// constants.
const probedArguments = "-8@%rax 4@$2 8@$-3"

// callStatic has the copy call what is probed.
func callStatic(e *env) error {
	if out, err := exec.Command(e.vars["PROGRAM"], childArgument, "call").CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// sawArguments compares the sums of arguments: main.probed is called with 0, 1, 2.
func sawArguments(e *env) error {
	got, err := e.counts("sums")
	minus := int64(-3 * probedCalls)
	if want := []uint64{probedCalls, 0 + 1 + 2, 2 * probedCalls, uint64(minus), 0}; err == nil && !slices.Equal(got, want) {
		err = fmt.Errorf("hits and sums of arguments are %d, want %d", got, want)
	}
	return err
}
