// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/limited"
)

// maxUngzipped bounds what a compressed archive may become, in bytes: it is
// written to a temporary file, because only that can be read at any place.
const maxUngzipped = 1 << 30

// archiveFile is an open archive.
type archiveFile struct {
	*os.File
	size int64
	// temporary is the file to delete when done; "" for the archive itself, and for
	// one that was deleted when it was opened.
	temporary string
}

// packings are the ways a whole archive may be compressed, by the bytes it begins
// with. Only gzip is unpacked here; of the others the error says what to do.
var packings = []struct{ magic, name, unpack string }{
	{"\x1f\x8b", "gzip", ""},
	{"\x28\xb5\x2f\xfd", "zstd", "unzstd"},
	{"\xfd7zXZ\x00", "xz", "unxz"},
	{"BZh", "bzip2", "bunzip2"},
	{"\x04\x22\x4d\x18", "lz4", "unlz4"},
	{"LZIP", "lzip", "lzip -d"},
}

// maxMagic is the longest magic, in bytes.
const maxMagic = 6

// isGzip says so of the beginning of an archive, or which compression it has that
// is not unpacked.
func isGzip(start []byte) (bool, error) {
	for _, p := range packings {
		switch {
		case !bytes.HasPrefix(start, []byte(p.magic)):
		case p.unpack == "":
			return true, nil
		default:
			return false, fmt.Errorf("it is compressed with %s: unpack it first, with `%s`", p.name, p.unpack)
		}
	}
	return false, nil
}

// openArchiveFile opens a regular file, uncompressed if need be.
func openArchiveFile(ctx context.Context, path string) (*archiveFile, error) {
	f, err := limited.Open(path, os.O_RDONLY, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: %w", path, ErrNotFound)
	case errors.Is(err, limited.ErrNotRegular):
		return nil, fmt.Errorf("%w; oci:DIR reads a folder", err)
	case err != nil:
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, joined.Errors(err, f.Close())
	}
	start := make([]byte, maxMagic)
	n, err := f.ReadAt(start, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, joined.Errors(err, f.Close())
	}
	packed, err := isGzip(start[:n])
	if err != nil {
		return nil, joined.Errors(err, f.Close())
	}
	if packed {
		unpacked, err := ungzip(ctx, f, "", maxUngzipped)
		return unpacked, joined.Errors(err, f.Close())
	}
	return &archiveFile{File: f, size: info.Size()}, nil
}

// readArchiveFile keeps what comes from a pipe in a temporary file in dir,
// uncompressed if need be.
func readArchiveFile(ctx context.Context, in io.Reader, dir string) (*archiveFile, error) {
	buffered := bufio.NewReader(in)
	start, err := buffered.Peek(maxMagic)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	packed, err := isGzip(start)
	switch {
	case err != nil:
		return nil, err
	case len(start) == 0:
		return nil, malformed("it is empty")
	case packed:
		return ungzip(ctx, buffered, dir, maxUngzipped)
	}
	return spool(ctx, buffered, dir, maxArchive)
}

// ungzip unpacks at most limit bytes into a temporary file in dir.
func ungzip(ctx context.Context, packed io.Reader, dir string, limit int64) (*archiveFile, error) {
	in, err := gzip.NewReader(packed)
	if err != nil {
		return nil, malformed("it is not a gzip file: %w", err)
	}
	a, err := spool(ctx, in, dir, limit)
	if err != nil {
		return nil, fmt.Errorf("uncompressing the archive: %w", err)
	}
	return a, nil
}

// spool writes at most limit bytes into a temporary file in dir, "" for the
// system's folder of such files. Where the system allows that, the file has no name
// any more, so that nothing is left of it however the process ends.
func spool(ctx context.Context, in io.Reader, dir string, limit int64) (*archiveFile, error) {
	out, err := os.CreateTemp(dir, "bpfimg-*.tar")
	if err != nil {
		return nil, err
	}
	a := &archiveFile{File: out}
	if os.Remove(out.Name()) != nil {
		a.temporary = out.Name() // Windows keeps the names of open files
	}
	a.size, err = io.Copy(out, io.LimitReader(&contextReader{ctx, in}, limit+1))
	if err == nil && a.size > limit {
		err = fmt.Errorf("it is over %d bytes: %w", limit, ErrTooLarge)
	}
	if err != nil {
		return nil, joined.Errors(err, a.Close())
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
