// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package compile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/internal/limited"
)

// script writes a program for /bin/sh.
func script(t *testing.T, name, body string) string {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip("SKIP-REASON: runs where there is a POSIX shell")
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// fake is a clang that does something else.
func fake(t *testing.T, body string) string {
	t.Helper()
	return script(t, "clang", `[ "$1" = --version ] && { echo "fake clang version 99.1.0"; exit; }`+"\n"+body)
}

func TestNoCompiler(t *testing.T) {
	nothingStays(t)
	for _, test := range []struct{ clang, want string }{
		{"", "neither clang nor clang-N is in PATH"},
		{"clang-99", `"clang-99"`},
		{"clang -v", `"clang -v" (--clang or CLANG) is no program`},
		{"/etc/passwd", `"/etc/passwd"`},
		{"/", `"/"`},
	} {
		_, _, err := Compile(t.Context(), Options{Folder: counterFolder(t), Clang: test.clang, Lookup: emptyPath})
		var failed *Error
		if !errors.As(err, &failed) || !errors.Is(err, ErrNoCompiler) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: %v", test.clang, err)
			continue
		}
		if !strings.Contains(failed.Hint, packagesFor(needClang, distribution())) {
			t.Errorf("%q: hint %q", test.clang, failed.Hint)
		}
	}
	// A clang without BPF, such as Apple's.
	apple := fake(t, `echo "error: unable to create target: 'No available targets are compatible with triple \"bpfel\"'" >&2; exit 1`)
	_, _, err := Compile(t.Context(), Options{Folder: counterFolder(t), Clang: apple, Lookup: emptyPath})
	if !errors.Is(err, ErrNoCompiler) || !strings.Contains(err.Error(), "unable to create target") {
		t.Errorf("no BPF target: %v", err)
	}
}

func TestWhichClang(t *testing.T) {
	one, two := filepath.Dir(script(t, "clang-9", "")), filepath.Dir(script(t, "clang-19", ""))
	plain := filepath.Dir(script(t, "clang", ""))
	for _, name := range []string{"clang-cpp-20", "clang-20.old", "clang-99999999", "clang-format-21"} {
		write(t, two, map[string]string{name: ""})
	}
	write(t, two, map[string]string{"clang-21": "not to be run"}) // mode 0644
	for _, test := range []struct {
		path []string
		env  string
		want string
	}{
		{[]string{one, two}, "", filepath.Join(two, "clang-19")},
		{[]string{one, two, plain}, "", filepath.Join(plain, "clang")},
		{[]string{two, one, plain}, "clang-9", filepath.Join(one, "clang-9")},
		{[]string{one}, filepath.Join(two, "clang-19"), filepath.Join(two, "clang-19")},
		{[]string{".", "", one}, "", filepath.Join(one, "clang-9")},
	} {
		j := &job{lookup: func(name string) (string, bool) {
			return map[string]string{"PATH": strings.Join(test.path, string(filepath.ListSeparator)), "CLANG": test.env}[name], true
		}}
		if got, err := j.findClang(); err != nil || got != test.want {
			t.Errorf("%q, CLANG=%q: %q %v", test.path, test.env, got, err)
		}
	}
	t.Chdir(plain)
	if got := (&job{lookup: func(string) (string, bool) { return ".", true }}).inPath("clang"); got != "" {
		t.Errorf("%q is taken from the current folder", got)
	}
}

func TestPackages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ release, want string }{
		{"ID=debian\n", "apt-get install clang llvm libbpf-dev linux-libc-dev"},
		{"NAME=\"Ubuntu\"\nID=ubuntu\nID_LIKE=debian\n", "apt-get install clang llvm libbpf-dev linux-libc-dev"},
		{"ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", "apt-get install clang llvm libbpf-dev linux-libc-dev"},
		{"ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n", "dnf install clang llvm libbpf-devel kernel-headers"},
		{"ID='alpine'", "apk add clang llvm libbpf-dev linux-headers"},
		{"ID=arch", "pacman -S clang llvm libbpf linux-api-headers"},
	} {
		if got := packagesFor(needClang, parseOSRelease(test.release)); got != test.want {
			t.Errorf("%q: %q", test.release, got)
		}
	}
	all := packagesFor(needClang, parseOSRelease("garbage\n=\nID\n"))
	for _, part := range []string{"Debian, Ubuntu: apt-get install clang", "Fedora: dnf", "Alpine: apk", `macOS: brew install llvm (then --clang`} {
		if !strings.Contains(all, part) {
			t.Errorf("unknown system: %q has no %q", all, part)
		}
	}
	if got := packagesFor(needLibbpf, []string{"debian"}); got != "apt-get install libbpf-dev" {
		t.Error(got)
	}
}

// TestEnvironment: variables that change what a compiler does stay here.
func TestEnvironment(t *testing.T) {
	nothingStays(t)
	lookup := func(name string) (string, bool) {
		v, ok := map[string]string{"HOME": "/h", "PATH": os.Getenv("PATH"), "CPATH": "/evil", "CCC_OVERRIDE_OPTIONS": "+-o", "SOURCE_DATE_EPOCH": "7"}[name]
		return v, ok
	}
	t.Setenv("C_INCLUDE_PATH", "/evil")
	t.Setenv("CCC_OVERRIDE_OPTIONS", "+-o")
	var log bytes.Buffer
	_, _, err := Compile(t.Context(), Options{Folder: counterFolder(t), Clang: fake(t, "env; exit 1"), Lookup: lookup, Log: &log})
	if !errors.Is(err, ErrCompile) {
		t.Fatal(err)
	}
	for _, want := range []string{"HOME=/h\n", "LC_ALL=C\n", "SOURCE_DATE_EPOCH=7\n", "TMPDIR="} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("no %q in %s", want, log.String())
		}
	}
	for _, bad := range []string{"evil", "OVERRIDE"} {
		if strings.Contains(log.String(), bad) {
			t.Errorf("%q reached the compiler: %s", bad, log.String())
		}
	}
}

// TestBoundedOutput: a compiler that never stops complaining.
func TestBoundedOutput(t *testing.T) {
	nothingStays(t)
	var log bytes.Buffer
	_, _, err := Compile(t.Context(), Options{
		Folder: counterFolder(t), Lookup: os.LookupEnv, Log: &log,
		Clang: fake(t, `i=0; while [ $i -lt 3000 ]; do echo "x.c:$i: error: no"; i=$((i+1)); done; head -c 100000 /dev/zero | tr '\0' 'x'; exit 1`),
	})
	if !errors.Is(err, ErrCompile) || !strings.Contains(err.Error(), "x.c:0: error: no") {
		t.Errorf("error %v", err)
	}
	if n := strings.Count(log.String(), "\n"); n > MaxDiagnostics+10 || !strings.Contains(log.String(), "left out") {
		t.Errorf("%d lines", n)
	}
	d := &diagnostics{out: &log}
	log.Reset()
	fmt.Fprint(d, strings.Repeat("y", 3*maxLine))
	d.close()
	if log.Len() != maxLine+1 {
		t.Errorf("a line of %d bytes", log.Len())
	}
}

// TestNoOutput: the compiler's output is read under the reader's limit, and an
// object that is none is not taken for one.
func TestNoOutput(t *testing.T) {
	nothingStays(t)
	_, _, err := Compile(t.Context(), Options{Folder: counterFolder(t), Clang: fake(t, "exit 0"), Lookup: os.LookupEnv})
	if err == nil {
		t.Error("a compiler that wrote nothing is believed")
	}
	big := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(big, make([]byte, 11), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := limited.ReadFile(big, 10); err == nil {
		t.Error("no limit")
	}
}

// hanging is a clang whose child holds a FIFO open for as long as it lives.
func hanging(t *testing.T) (clang string, dead <-chan error) {
	t.Helper()
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := exec.Command("mkfifo", fifo).Run(); err != nil {
		t.Skip("SKIP-REASON: runs where there is mkfifo")
	}
	done := make(chan error, 1)
	go func() {
		f, err := os.Open(fifo)
		if err == nil {
			_, err = io.Copy(io.Discard, f)
			f.Close()
		}
		done <- err
	}()
	return fake(t, `sh -c 'exec 9>"$0"; echo started >&2; sleep 120' `+quote(fifo)+" & wait"), done
}

// onText calls do once when a text was written.
type onText struct {
	text string
	do   func()
	seen bool
}

func (o *onText) Write(p []byte) (int, error) {
	if !o.seen && strings.Contains(string(p), o.text) {
		o.seen = true
		o.do()
	}
	return len(p), nil
}

func TestCancelKillsEverything(t *testing.T) {
	nothingStays(t)
	clang, dead := hanging(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, _, err := Compile(ctx, Options{Folder: counterFolder(t), Clang: clang, Lookup: os.LookupEnv, Log: &onText{text: "started", do: cancel}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	select {
	case err := <-dead:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(time.Minute): // only when it fails
		t.Error("what the compiler started lives on")
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	c := command{words: []string{script(t, "slow", "sleep 600")}, timeout: time.Millisecond, stdout: io.Discard, stderr: io.Discard}
	err := c.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "slow took longer than 1ms and was ended") || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

func TestFoldersThatAreNone(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"/nowhere/at/all", "/etc/passwd"} {
		if _, _, err := Compile(t.Context(), Options{Folder: folder, Lookup: emptyPath}); err == nil || errors.Is(err, build.ErrOptions) {
			t.Errorf("%q: %v", folder, err)
		}
	}
}
