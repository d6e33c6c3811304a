// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package atomicfile

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// disk is an old file alone on a file system of 16 KiB.
func disk(t *testing.T) (path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIP-REASON: mounting small file systems needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skip("SKIP-REASON: no file system can be mounted here: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	path = filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFullDisk(t *testing.T) {
	path := disk(t)
	for range 3 { // a rest of each attempt would fill the disk further
		if err := WriteDurably(path, bytes.Repeat([]byte("x"), 64<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v", err)
		}
		wantOnly(t, path, "old")
	}
	if err := WriteDurably(path, []byte("new"), 0o600); err != nil {
		t.Errorf("what fits: %v", err)
	}
	wantOnly(t, path, "new")
}

func TestReadOnlyDisk(t *testing.T) {
	path := disk(t)
	if err := syscall.Mount("none", filepath.Dir(path), "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("new"), 0o600); !errors.Is(err, syscall.EROFS) {
		t.Errorf("got %v", err)
	}
	wantOnly(t, path, "old")
}

func TestReadOnlyFolder(t *testing.T) {
	path := old(t)
	if err := os.Chmod(filepath.Dir(path), 0o500); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
			t.Error(err)
		}
	})
	if os.Geteuid() == 0 {
		// The whole thread group changes its user; there is one test at a time here.
		if err := syscall.Seteuid(65534); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := syscall.Seteuid(0); err != nil {
				t.Error(err)
			}
		})
	}
	if err := Write(path, []byte("new"), 0o600); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v", err)
	}
}
