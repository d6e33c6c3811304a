// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package limited

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// ErrNotRegular: there is something else than a regular file, such as a named pipe,
// which would be waited for without an end, or a device. Test with [errors.Is].
var ErrNotRegular = errors.New("not a regular file")

// Open is [os.OpenFile] for files of folders that others may have written to. It
// opens regular files only, and waits for none. What is something else is not even
// opened, as that alone can do something to a device, unless it takes the place of a
// file at this moment.
func Open(path string, flag int, mode fs.FileMode) (*os.File, error) {
	return open(path, flag, mode, os.Stat, os.OpenFile)
}

// OpenIn is Open for reading a file of a folder.
func OpenIn(root *os.Root, name string) (*os.File, error) {
	return open(name, os.O_RDONLY, 0, root.Stat, root.OpenFile)
}

func open(
	path string, flag int, mode fs.FileMode,
	stat func(string) (fs.FileInfo, error), openFile func(string, int, fs.FileMode) (*os.File, error),
) (*os.File, error) {
	info, err := stat(path)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return nil, notRegular(path)
	case err != nil && !(flag&os.O_CREATE != 0 && errors.Is(err, fs.ErrNotExist)):
		return nil, err
	}
	f, err := openFile(path, flag|syscall.O_NONBLOCK, mode)
	if err != nil {
		return nil, err
	}
	if info, err = f.Stat(); err == nil && !info.Mode().IsRegular() {
		err = notRegular(path)
	}
	if err != nil {
		return nil, joined.Errors(err, f.Close())
	}
	return f, nil
}

func notRegular(path string) error { return fmt.Errorf("%s is %w", path, ErrNotRegular) }
