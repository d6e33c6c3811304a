// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build unix

package limited

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPipes: what a shell pipes is read to its end, and a pipe without anybody at
// its other end holds up nobody.
func TestPipes(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadFile(fifo, 10); err != nil || len(data) != 0 {
		t.Errorf("nobody writes: %q, %v", data, err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read := make(chan string)
	go func() {
		data, err := ReadFile(fmt.Sprintf("/dev/fd/%d", r.Fd()), 10)
		if err != nil {
			data = []byte(err.Error())
		}
		read <- string(data)
	}()
	for _, part := range []string{"123", "45"} { // whoever is first waits for the other
		if _, err := w.WriteString(part); err != nil {
			t.Error(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if got := <-read; got != "12345" {
		t.Errorf("a shell's pipe: %q", got)
	}
}

// TestOpen: what is no regular file is refused, and never waited for.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(path string) error{
		"fifo":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"device": func(path string) error { return os.Symlink(os.DevNull, path) },
		"socket": func(path string) error {
			l, err := net.Listen("unix", path)
			if err == nil {
				t.Cleanup(func() { _ = l.Close() })
			}
			return err
		},
	} {
		path := filepath.Join(dir, name)
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		for _, flag := range []int{os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREATE} {
			if _, err := Open(path, flag, 0o600); !errors.Is(err, ErrNotRegular) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s with flags %x: %v", name, flag, err)
			}
		}
	}
	path := filepath.Join(dir, "file")
	if _, err := Open(path, os.O_RDWR, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	f, err := Open(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("text"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if f, err = OpenIn(root, "file"); err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
	if _, err := OpenIn(root, "fifo"); !errors.Is(err, ErrNotRegular) {
		t.Errorf("a named pipe in a folder: %v", err)
	}
}

// TestOpenSwapped: a pipe that takes the place of the file after it was looked at is
// not waited for either.
func TestOpenSwapped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	stat := func(string) (fs.FileInfo, error) {
		info, err := os.Stat(os.Args[0]) // some regular file
		if err == nil {
			err = syscall.Mkfifo(path, 0o600)
		}
		return info, err
	}
	if _, err := open(path, os.O_RDONLY, 0, stat, os.OpenFile); !errors.Is(err, ErrNotRegular) {
		t.Error(err)
	}
}
