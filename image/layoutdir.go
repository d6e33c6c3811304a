// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/limited"
)

// dirFiles are the files of a folder. Links out of it are not followed, and what
// is no regular file is not read: a named pipe would never answer.
type dirFiles struct{ root *os.Root }

// openLayoutDir opens an image layout in a folder.
func openLayoutDir(dir string) (*layout, error) {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("opening the layout: %s is not a folder", dir) // a named pipe would be waited for
	}
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

// list implements [layoutFiles].
func (d dirFiles) list(folder string, limit int) (names []string, err error) {
	f, err := d.root.OpenFile(folder, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = joined.Errors(err, f.Close()) }()
	entries, err := f.ReadDir(limit + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("listing %s: %w", folder, err)
	}
	if len(entries) > limit {
		return nil, fmt.Errorf("%s has over %d files: %w", folder, limit, ErrTooLarge)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	slices.Sort(names)
	return names, nil
}

// read implements [layoutFiles].
func (d dirFiles) read(name string, limit int64) (data []byte, err error) {
	f, err := limited.OpenIn(d.root, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotFound)
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = joined.Errors(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fmt.Errorf("%s is %d bytes, at most %d are allowed: %w", name, info.Size(), limit, ErrTooLarge)
	}
	data = make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return data, nil
}
