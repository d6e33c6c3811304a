// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package atomicfile replaces files as a whole or not at all: whoever reads one
// meanwhile, or after the writer was killed, finds the old content or the new.
//
// Doors: [Write], and [WriteDurably] for what must survive a power cut.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// Leftovers is the pattern of the names that files have while they are written,
// beside the file they will replace. One is left only by a process that was killed.
const Leftovers = ".new-*"

// Write puts data at path with the permission bits of mode, whatever the umask. It
// does not wait for the disk: after a power cut the file may be empty. That is for
// what is worth nothing then, or is made again.
//
// The new file belongs to the process's user. A symbolic link at path is replaced,
// not followed. On any error the old file stays and the new one is removed.
func Write(path string, data []byte, mode fs.FileMode) error {
	_, err := system.write(path, data, mode, false)
	return err
}

// WriteDurably is [Write], and the new file is on the disk when it returns. If what
// fails is the last step, to make the file's name durable, then the new content is
// in its place and the error says so.
func WriteDurably(path string, data []byte, mode fs.FileMode) error {
	replaced, err := system.write(path, data, mode, true)
	if replaced && err != nil {
		return fmt.Errorf("%s is written, but may not survive a power cut: %w", path, err)
	}
	return err
}

// SyncFolder makes what was renamed in dir last through a power cut, where the
// system and the file system let folders be synced.
func SyncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // as file systems in user space and of other machines answer
	}
	return joined.Errors(err, f.Close())
}

// steps are what tests make fail.
type steps struct {
	syncFile   func(*os.File) error
	rename     func(from, to string) error
	syncFolder func(dir string) error
}

var system = steps{syncFile: (*os.File).Sync, rename: os.Rename, syncFolder: SyncFolder}

// write says whether the new file is in its place.
func (s steps) write(path string, data []byte, mode fs.FileMode, durably bool) (replaced bool, err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, Leftovers)
	if err != nil {
		return false, err
	}
	err = joined.Errors(s.fill(f, data, mode, durably), f.Close())
	if err == nil {
		err = s.rename(f.Name(), path)
	}
	if err != nil {
		return false, joined.Errors(err, os.Remove(f.Name()))
	}
	if durably {
		err = s.syncFolder(dir)
	}
	return true, err
}

func (s steps) fill(f *os.File, data []byte, mode fs.FileMode, durably bool) error {
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if !durably {
		return nil
	}
	return s.syncFile(f)
}
