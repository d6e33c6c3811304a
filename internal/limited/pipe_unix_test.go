// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build unix

package limited

import (
	"fmt"
	"os"
	"path/filepath"
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
