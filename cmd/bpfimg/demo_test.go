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
	"strings"
	"syscall"
	"testing"
)

// TestDemo runs the demo to its end, and interrupts it at several places: it
// leaves nothing behind either way.
func TestDemo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SKIP-REASON: the demo loads programs, which needs root")
	}
	bin := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, test := range []struct {
		// interrupt when this line shows; "" lets the demo end.
		at   string
		code int
	}{
		{"# Nothing is left behind.", 0},
		{"$ ip link add", 130},
		{"$ bpfimg sign", 130},
		{"$ bpfimg ps", 130},
		{"$ bpfimg map dump", 130},
	} {
		t.Run(test.at, func(t *testing.T) {
			tmp := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "../../examples/demo.sh")
			cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "TMPDIR="+tmp)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			pipe, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid := cmd.Process.Pid
			output := readUntil(t, pipe, test.at)
			if test.code != 0 {
				// As Ctrl-C does: to the whole group.
				if err := syscall.Kill(-pid, syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
			}
			rest, _ := io.ReadAll(io.LimitReader(pipe, 1<<20)) // cut off by an interrupt
			err = cmd.Wait()
			var exit *exec.ExitError
			if code := cmd.ProcessState.ExitCode(); code != test.code || err != nil && !errors.As(err, &exit) {
				t.Errorf("exit %d, %v, want %d\n%s%s", code, err, test.code, output, rest)
			}
			nothingLeft(t, pid, tmp)
		})
	}
}

// readUntil reads lines up to the first that starts with prefix.
func readUntil(t *testing.T, r io.Reader, prefix string) string {
	var b strings.Builder
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		b.WriteString(line)
		if strings.HasPrefix(line, prefix) {
			return b.String()
		}
		if err != nil {
			t.Fatalf("%q never showed: %v\n%s", prefix, err, b.String())
		}
	}
}

// nothingLeft checks what the demo of that process makes.
func nothingLeft(t *testing.T, pid int, tmp string) {
	t.Helper()
	for _, path := range []string{
		fmt.Sprintf("/sys/fs/bpf/bpfimg-demo-%d", pid),
		fmt.Sprintf("/sys/class/net/demo%d", pid),
		fmt.Sprintf("/run/netns/bpfimg-demo-%d", pid),
	} {
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(tmp, "*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if out, err := exec.CommandContext(t.Context(), "pgrep", "-g", fmt.Sprint(pid)).Output(); err == nil {
		t.Errorf("processes are left: %s", out)
	}
}
