// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfgen

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
)

const coreObject = "../../bpf/testdata/core.bpf.o"

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// ciliumDir is the folder of the cilium/ebpf module.
func ciliumDir(t testing.TB) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/cilium/ebpf").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// kernels returns the BTF of those that can be had: the one that comes with
// cilium/ebpf, this machine's, and those the tests in virtual machines run.
func kernels(t testing.TB) map[string][]byte {
	t.Helper()
	packed, err := gzip.NewReader(bytes.NewReader(read(t, filepath.Join(ciliumDir(t), "btf/testdata/vmlinux.btf.gz"))))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(packed)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{"cilium": data}
	switch data, err := os.ReadFile("/sys/kernel/btf/vmlinux"); {
	case err == nil:
		found["own"] = data
	case !errors.Is(err, fs.ErrNotExist):
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	images, err := filepath.Glob(filepath.Join(cache, "bpfimg/kernels/*/vmlinuz"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range images {
		if data := unpackKernel(t, read(t, path)); data != nil {
			found[filepath.Base(filepath.Dir(path))] = data
		}
	}
	return found
}

// unpackKernel cuts the BTF out of a compressed kernel image; nil where the tool
// for its compression is missing.
func unpackKernel(t testing.TB, image []byte) []byte {
	t.Helper()
	for tool, magic := range map[string]string{"lz4": "\x02\x21\x4c\x18", "zstd": "\x28\xb5\x2f\xfd", "xz": "\xfd7zXZ\x00"} {
		for rest := image; ; {
			at := bytes.Index(rest, []byte(magic))
			if at < 0 {
				break
			}
			rest = rest[at:]
			cmd := exec.CommandContext(t.Context(), tool, "-dc")
			cmd.Stdin = bytes.NewReader(rest)
			out, _ := cmd.Output() // fails at what follows the stream
			if file, err := elf.NewFile(bytes.NewReader(out)); err == nil {
				if s := file.Section(".BTF"); s != nil {
					data, err := s.Data()
					if err != nil {
						t.Fatal(err)
					}
					return data
				}
				if data := findBTF(out); data != nil {
					return data
				}
			}
			rest = rest[1:]
		}
	}
	return nil
}

// findBTF finds BTF of some size by its header.
func findBTF(data []byte) []byte {
	for rest := data; ; rest = rest[1:] {
		at := bytes.Index(rest, []byte("\x9f\xeb\x01\x00\x18\x00\x00\x00"))
		if at < 0 {
			return nil
		}
		rest = rest[at:]
		end := 24 + int(binary.LittleEndian.Uint32(rest[16:])) + int(binary.LittleEndian.Uint32(rest[20:]))
		if end > 1<<20 && end <= len(rest) {
			return rest[:end]
		}
	}
}

// btfOf returns the .BTF section of an object.
func btfOf(t testing.TB, object []byte) []byte {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		t.Fatal(err)
	}
	s := file.Section(".BTF")
	if s == nil {
		return nil
	}
	data, err := s.Data()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func newGenerator(t testing.TB, objects ...string) *Generator {
	t.Helper()
	var list []Object
	for _, path := range objects {
		list = append(list, Object{Name: filepath.Base(path), Bytes: read(t, path)})
	}
	g, err := New(list)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func spec(t testing.TB, data []byte) *btf.Spec {
	t.Helper()
	s, err := btf.LoadSpecFromReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
