// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package vmtest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cavaliergopher/cpio"
	"github.com/google/go-cmp/cmp"
)

func TestRamdisk(t *testing.T) {
	host := filepath.Join(t.TempDir(), "veth.ko")
	if err := os.WriteFile(host, []byte("module"), 0o600); err != nil {
		t.Fatal(err)
	}
	opts := Options{
		Kernel: Kernel{Modules: []string{host, host}},
		Init:   host,
		Files:  map[string]File{"/etc/a/b": {Data: []byte("b")}, "/bin/tool": {Data: []byte("t"), Executable: true}},
	}
	var buf bytes.Buffer
	if err := writeRamdisk(&buf, opts.ramdisk()); err != nil {
		t.Fatal(err)
	}
	var got []string
	r := cpio.NewReader(&buf)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.Mode.String()+" "+h.Name+" "+string(data))
	}
	want := []string{
		"040755 bin ", "0100755 bin/tool t", "040755 etc ", "040755 etc/a ", "0100644 etc/a/b b",
		"0100755 init module", "040755 modules ", "0100644 modules/000-veth.ko module", "0100644 modules/001-veth.ko module",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("RAM disk (-want +got):\n%s", diff)
	}
}

func TestRamdiskRefusesPaths(t *testing.T) {
	for _, name := range []string{"relative", "/a/../b", "/a/"} {
		if err := writeRamdisk(io.Discard, map[string]File{name: {}}); err == nil {
			t.Errorf("guest path %q is accepted", name)
		}
	}
}

func TestConsole(t *testing.T) {
	for _, tc := range []struct {
		name   string
		writes []string
		log    string
		status int
		ok     bool
	}{
		{"status in pieces", []string{"hello\r\nbpfimg-vm", "test-status: 3\r\n"}, "hello\n", 3, true},
		{"no newline at the end", []string{StatusPrefix + "0"}, "", 0, true},
		{"kernel message before", []string{"[ 1.0] noise" + StatusPrefix + "1\n"}, "", 1, true},
		{"no number", []string{StatusPrefix + "x\n"}, "", 0, false},
		{"none", []string{"bye"}, "bye\n", 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var log strings.Builder
			c := newConsole(&log)
			for _, w := range tc.writes {
				if n, err := c.Write([]byte(w)); n != len(w) || err != nil {
					t.Fatalf("Write(%q) = %d, %v", w, n, err)
				}
			}
			c.flush()
			status, ok := c.status()
			if status != tc.status || ok != tc.ok || log.String() != tc.log {
				t.Errorf("got status %d, %v, log %q; want %d, %v, %q", status, ok, log.String(), tc.status, tc.ok, tc.log)
			}
		})
	}
}

func TestConsoleKeepsLittle(t *testing.T) {
	c := newConsole(nil)
	long := bytes.Repeat([]byte("x"), maxLine)
	for range 3 * tailLen {
		if _, err := c.Write(long); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.last) > tailLen || len(c.partial) > maxLine {
		t.Errorf("kept %d lines and %d bytes", len(c.last), len(c.partial))
	}
}
