// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package bpf

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
)

// Objects of the tests about probed programs.
const (
	objUmulti = "testdata/umulti.bpf.o"
	objUSDT   = "testdata/usdt.bpf.o"
)

// compileProbed compiles testdata/probed.c and returns the program's path.
func compileProbed(t *testing.T) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip("SKIP-REASON: the program's probes are for x86-64; runs there")
	}
	cc, err := exec.LookPath("cc")
	if err != nil {
		if cc, err = exec.LookPath("clang"); err != nil {
			t.Skip("SKIP-REASON: runs where a C compiler (cc or clang) is installed")
		}
	}
	out := filepath.Join(t.TempDir(), "probed")
	if msg, err := exec.CommandContext(t.Context(), cc, "-O1", "-static", "-o", out, "testdata/probed.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

// probedProgram is testdata/probed.c at work.
type probedProgram struct {
	t     *testing.T
	pid   int
	stdin io.Writer
	lines *bufio.Scanner
}

// startProbed starts it and waits until it is ready; attr may be nil.
func startProbed(t *testing.T, path string, attr *syscall.SysProcAttr) *probedProgram {
	t.Helper()
	cmd := exec.Command(path) // ends when its input does, after the test's context
	cmd.Dir, cmd.SysProcAttr, cmd.Stderr = "/", attr, os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &probedProgram{t: t, pid: cmd.Process.Pid, stdin: stdin, lines: bufio.NewScanner(stdout)}
	t.Cleanup(func() {
		if err := stdin.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the probed program: %v", err)
		}
	})
	p.expect("ready")
	return p
}

func (p *probedProgram) expect(line string) {
	p.t.Helper()
	if !p.lines.Scan() || p.lines.Text() != line {
		p.t.Fatalf("the probed program said %q (%v), not %q", p.lines.Text(), p.lines.Err(), line)
	}
}

// work has it go through its probes.
func (p *probedProgram) work(rounds int) {
	p.t.Helper()
	for range rounds {
		if _, err := p.stdin.Write([]byte("\n")); err != nil {
			p.t.Fatal(err)
		}
		p.expect("done")
	}
}
