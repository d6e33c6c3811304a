// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// Patience and pace of the commands that wait.
const (
	waitAtMost = time.Minute
	waitStep   = 100 * time.Millisecond
)

// commands the scripts have beyond testscript's own.
func commands() map[string]func(ts *testscript.TestScript, neg bool, args []string) {
	s := streams{}
	return map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"touch":      touch,
		"unlink":     unlink,
		"nobpf":      nobpf,
		"veth":       veth,
		"unplug":     unplug,
		"send":       send,
		"traffic":    s.traffic,
		"during":     s.during,
		"escaped":    s.escaped,
		"counted":    counted,
		"race":       race,
		"killed":     killed,
		"netns":      netns,
		"programid":  programid,
		"xdp":        xdp,
		"waitport":   waitPort,
		"eventually": eventually,
	}
}

// want stops the script unless the arguments are at least min and the command
// is not negated.
func want(ts *testscript.TestScript, neg bool, args []string, min int, usage string) {
	if neg || len(args) < min {
		ts.Fatalf("usage: %s", usage)
	}
}

// touch FILE… creates empty files.
func touch(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "touch FILE...")
	for _, name := range args {
		ts.Check(os.WriteFile(ts.MkAbs(name), nil, 0o644))
	}
}

// unlink FILE… removes files with one unlink system call each, which is one
// call of the kernel's vfs_unlink.
func unlink(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "unlink FILE...")
	for _, name := range args {
		if err := unix.Unlink(ts.MkAbs(name)); err != nil {
			ts.Fatalf("unlink %s: %v", name, err)
		}
	}
}

// waitport HOST:PORT waits until something listens there.
func waitPort(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 1, "waitport HOST:PORT")
	err := poll(func() error {
		conn, err := net.DialTimeout("tcp", args[0], time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	})
	if err != nil {
		ts.Fatalf("nothing listens on %s: %v", args[0], err)
	}
}

// eventually REGEXP PROGRAM [ARG…] runs a program again and again until it
// succeeds and its standard output matches; only the last output is logged.
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	want(ts, neg, args, 2, "eventually REGEXP PROGRAM [ARG...]")
	re, err := regexp.Compile(`(?m)` + args[0])
	ts.Check(err)
	err = poll(func() error {
		cmd := exec.Command(args[1], args[2:]...)
		cmd.Dir = ts.MkAbs(".")
		for _, key := range scriptEnv {
			cmd.Env = append(cmd.Env, key+"="+ts.Getenv(key))
		}
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("%w: %s", err, errorOutput(err))
		}
		if !re.Match(out) {
			return fmt.Errorf("no match for `%s` in:\n%s", args[0], out)
		}
		return nil
	})
	if err != nil {
		ts.Fatalf("eventually %s: %v", strings.Join(args[1:], " "), err)
	}
}

// errorOutput is what a failed program wrote to standard error.
func errorOutput(err error) []byte {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.Stderr
	}
	return nil
}

// poll calls f until it succeeds or patience ends, and returns its last error.
func poll(f func() error) error {
	ticker := time.NewTicker(waitStep)
	defer ticker.Stop()
	deadline := time.Now().Add(waitAtMost)
	for {
		err := f()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		<-ticker.C
	}
}

// condition knows [since:MAJOR.MINOR]: the kernel is that version or newer; and
// [full]: what is repeated is to be repeated often.
func condition(cond string) (bool, error) {
	if cond == "full" {
		return *full, nil
	}
	version, ok := strings.CutPrefix(cond, "since:")
	if !ok {
		return false, fmt.Errorf("unknown condition %q", cond)
	}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return false, fmt.Errorf("asking for the kernel version: %w", err)
	}
	have, err := parseVersion(unix.ByteSliceToString(uts.Release[:]))
	if err != nil {
		return false, err
	}
	least, err := parseVersion(version)
	return have[0] > least[0] || have[0] == least[0] && have[1] >= least[1], err
}

var versionStart = regexp.MustCompile(`^(\d+)\.(\d+)`)

func parseVersion(s string) (v [2]int, err error) {
	m := versionStart.FindStringSubmatch(s)
	if m == nil {
		return v, fmt.Errorf("%q is no kernel version", s)
	}
	for i := range v {
		if v[i], err = strconv.Atoi(m[i+1]); err != nil {
			return v, fmt.Errorf("%q is no kernel version: %w", s, err)
		}
	}
	return v, nil
}
