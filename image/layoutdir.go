// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// dirFiles are the files of a folder. Links out of it are not followed, and what
// is no regular file is not opened: a named pipe would never answer.
type dirFiles struct{ root *os.Root }

// openLayoutDir opens an image layout in a folder.
func openLayoutDir(dir string) (*layout, error) {
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the layout: %w", err)
	}
	l, err := newLayout(dirFiles{root}, root, "oci:"+dir)
	if err != nil {
		return nil, joined.Errors(err, root.Close())
	}
	return l, nil
}

// read implements [layoutFiles].
func (d dirFiles) read(name string, limit int64) (data []byte, err error) {
	info, err := d.root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", name)
	case info.Size() > limit:
		return nil, fmt.Errorf("%s is %d bytes, at most %d are allowed: %w", name, info.Size(), limit, ErrTooLarge)
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined.Errors(err, f.Close()) }()
	data = make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return data, nil
}
