// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build unix

package verify

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// readOwn reads a file of at most limit bytes that nobody but the caller (and
// root) can have written: a regular file of the caller's with no rights for
// others, not a link, in a folder of the caller's that others cannot write.
func readOwn(path string, limit int64) (data []byte, err error) {
	folder, err := os.Lstat(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if !folder.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", filepath.Dir(path))
	}
	if err := own(folder, 0o022); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Dir(path), err)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined.Errors(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, fmt.Errorf("%s is no file of at most %d bytes", path, limit)
	}
	if err := own(info, 0o077); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

// own returns an error unless the file is the caller's and has none of the mode
// bits in others.
func own(info os.FileInfo, others os.FileMode) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok || int(stat.Uid) != os.Geteuid():
		return errors.New("belongs to somebody else")
	case info.Mode().Perm()&others != 0:
		return fmt.Errorf("has the mode %s, which lets others in", info.Mode())
	}
	return nil
}
