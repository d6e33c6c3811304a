// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain lets scripts call bpfimg as a command of its own: the test binary
// runs itself as it.
func TestMain(m *testing.M) {
	// Before the command line is read, which may say otherwise: half of what scripts
	// take is waiting, for commands that start and for the kernel.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err) // this flag is the testing package's
	}
	testscript.Main(m, map[string]func(){
		"sigstore-kms-file": kmsPlugin,
		"bpfimg-served":     servedCommands,
		"bpfimg": func() {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			os.Exit(run(ctx, os.Args, newTerminal(os.Stdin, os.Stdout, os.Stderr, os.LookupEnv)))
		},
	})
}

// TestScript runs testdata/script/*.txtar: each reads like a session at a shell.
func TestScript(t *testing.T) { testscript.Run(t, scriptParams(t, "testdata/script")) }

// scriptParams is what all scripts have in common.
func scriptParams(t *testing.T, dir string) testscript.Params {
	t.Helper()
	source, err := filepath.Abs("../..") // a test starts in the folder of its package
	if err != nil {
		t.Fatal(err)
	}
	return testscript.Params{
		Dir:                 dir,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Condition:           condition,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    cmdExits,
			"foreign":  cmdForeign,
			"host":     cmdHost,
			"registry": cmdRegistry,
			"valid":    cmdValid,
			"veth":     cmdVeth,
			"waitfor":  cmdWaitFor,
		},
		Setup: func(env *testscript.Env) error {
			store, err := testregistry.New(testregistry.Options{})
			if err != nil {
				return err
			}
			env.Values[registryKey{}] = &scriptRegistry{store: store}
			env.Values[hostsKey{}] = scriptHosts{}
			bpffs := fmt.Sprintf("/sys/fs/bpf/bpfimg-test-%d-%s", os.Getpid(), filepath.Base(env.WorkDir))
			env.Defer(func() { os.RemoveAll(bpffs) }) // what a failed script left
			for k, v := range map[string]string{
				"EXAMPLES":        filepath.Join(source, "examples"),
				"TESTDATA":        filepath.Join(source, "bpf", "testdata"),
				"BPFIMG_ROOT":     filepath.Join(env.WorkDir, "root"),
				"BPFIMG_BPFFS":    bpffs,
				"COSIGN_PASSWORD": "test",
				"HOME":            env.WorkDir,
				// The race detector would wait a second at each command's end.
				"GORACE":  "atexit_sleep_ms=0",
				"ESCAPES": "note=a\x1b[2Jb\u009bc",
			} {
				env.Setenv(k, v)
			}
			return nil
		},
	}
}

// condition adds [root]: may load programs and make network namespaces; and
// [btf]: the kernel has its types.
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Geteuid() == 0, nil
	case "btf":
		_, err := os.Stat("/sys/kernel/btf/vmlinux")
		return err == nil, nil
	}
	return false, errors.New("unknown condition " + name)
}

// cmdExits runs a command that must end with an exact exit code:
// exits CODE COMMAND [ARG…].
func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	if err := ts.Exec(args[1], args[2:]...); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
