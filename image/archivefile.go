// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/bpfimg/bpfimg/internal/joined"
)

// maxUngzipped bounds what a compressed archive may become, in bytes: it is
// written to a temporary file, because only that can be read at any place.
const maxUngzipped = 1 << 30

// archiveFile is an open archive.
type archiveFile struct {
	*os.File
	size int64
	// temporary is the file to delete when done; "" for the archive itself.
	temporary string
}

// openArchiveFile opens a regular file, uncompressed if need be.
func openArchiveFile(ctx context.Context, path string) (*archiveFile, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", path, ErrNotFound)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file; oci:DIR reads a folder", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var magic [4]byte
	n, err := f.ReadAt(magic[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, joined.Errors(err, f.Close())
	}
	switch start := string(magic[:n]); {
	case len(start) >= 2 && start[:2] == "\x1f\x8b":
		unpacked, err := ungzip(ctx, f, maxUngzipped)
		return unpacked, joined.Errors(err, f.Close())
	case start == "\x28\xb5\x2f\xfd":
		return nil, joined.Errors(fmt.Errorf("%s is compressed with zstd; uncompress it first: `unzstd`", path), f.Close())
	}
	return &archiveFile{File: f, size: info.Size()}, nil
}

// ungzip unpacks at most limit bytes into a temporary file.
func ungzip(ctx context.Context, packed io.Reader, limit int64) (*archiveFile, error) {
	in, err := gzip.NewReader(packed)
	if err != nil {
		return nil, malformed("it is not a gzip file: %w", err)
	}
	out, err := os.CreateTemp("", "bpfimg-*.tar")
	if err != nil {
		return nil, err
	}
	a := &archiveFile{File: out, temporary: out.Name()}
	a.size, err = io.Copy(out, io.LimitReader(&contextReader{ctx, in}, limit+1))
	if err == nil && a.size > limit {
		err = fmt.Errorf("uncompressed it is over %d bytes: %w", limit, ErrTooLarge)
	}
	if err != nil {
		return nil, joined.Errors(fmt.Errorf("uncompressing the archive: %w", err), a.Close())
	}
	return a, nil
}

// Close closes the file, and deletes it if it is a temporary one.
func (a *archiveFile) Close() error {
	err := a.File.Close()
	if a.temporary != "" {
		err = joined.Errors(err, os.Remove(a.temporary))
	}
	return err
}

// contextReader ends reading when the context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
