// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build linux

// Command guest is the first process of a test machine: it sets up what a small
// Linux system has, runs the testscript files under /scripts, the hook suite
// /bin/suite and the test binaries of packages under /bin/tests, says how they
// ended and powers off. Package vmtest boots it; it is of no use elsewhere.
//
// With -full on the kernel's command line, behind "--", scripts repeat everything as
// often as they can; a script asks for it with the condition [full].
//
// Scripts find bpfimg in their PATH, the examples under $EXAMPLES, the objects
// of bpf/testdata under $OBJECTS, a registry's content under /registry with the keys it was signed with under /keys, a state
// folder of their own, and beyond testscript's commands those in commands.go.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bpfimg/bpfimg/bpf/vmtest"
)

// scriptsTimeout stops scripts before the host stops the machine, so that a
// hanging command is named.
const scriptsTimeout = vmtest.DefaultTimeout - 30*time.Second

// full has scripts repeat everything as often as it can matter, for which `make test`
// has no time.
var full = flag.Bool("full", false, "repeat everything as often as it can matter")

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "guest: this is the first process of a test machine; run `go test ./bpf/vmtest` instead")
		os.Exit(2)
	}
	flag.Parse()
	status := run()
	fmt.Printf("%s%d\n", vmtest.StatusPrefix, status)
	unix.Sync()
	// If this fails the first process returns, the kernel panics and, as told
	// on its command line, the machine stops.
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		fmt.Println("guest: powering off:", err)
	}
}

// run returns the status for the host: 0 when every script and row passed, 1 when
// one failed, 2 when the machine could not be set up.
func run() int {
	fmt.Println("guest: the kernel is up")
	if err := setUp(); err != nil {
		fmt.Println("guest: setting up:", err)
		return 2
	}
	passed := true
	if _, err := os.Stat("/scripts"); err == nil {
		passed = runScripts("/scripts", time.Now().Add(scriptsTimeout))
	}
	if err := runSuite("/bin/suite"); err != nil {
		fmt.Println("guest: the hook suite:", err)
		return 1
	}
	if err := runTests("/bin/tests"); err != nil {
		fmt.Println("guest: the tests of packages:", err)
		return 1
	}
	if !passed {
		return 1
	}
	return 0
}

// runSuite runs the hook suite, if there is one; its exit status is an error
// unless every row passed.
func runSuite(name string) error {
	if _, err := os.Stat(name); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	args := []string{"-alone"}
	if _, err := os.Stat(vmtest.ServedPath); err == nil {
		args = append(args, "-served", vmtest.ServedPath)
	}
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
