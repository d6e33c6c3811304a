// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package btfarchive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/bpfimg/bpfimg/internal/excerpt"
	"github.com/bpfimg/bpfimg/internal/joined"
)

// ErrFile: a file that is not what its name says, damaged, or too large.
var ErrFile = errors.New("unreadable BTF file")

// Read returns the BTF of one kernel as it is in the file, at most [MaxFile]
// bytes. What they mean is for package btfgen to say. The error wraps [ErrFile]
// when the file is at fault.
func (a *Archive) Read(k Kernel) ([]byte, error) {
	data, err := a.file(k.Path)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", k.Path, err)
	}
	if k.packed {
		if data, err = unpack(data); err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrFile, k.Path, err)
		}
	}
	return data, nil
}

func (a *Archive) file(name string) (_ []byte, err error) {
	f, err := a.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined.Errors(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is no longer a file", ErrFile)
	}
	return readLimited(f)
}

var errTooLarge = fmt.Errorf("%w: over %d bytes", ErrFile, MaxFile)

// readLimited reads to the end, or to the limit.
func readLimited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxFile+1))
	if err == nil && len(data) > MaxFile {
		err = errTooLarge
	}
	return data, err
}

// unpack takes the one file out of a .tar.xz.
func unpack(packed []byte) ([]byte, error) {
	stream, err := unxz(packed)
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(bytes.NewReader(stream))
	var found []byte
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) && found != nil {
			return found, nil
		}
		if err != nil {
			return nil, fmt.Errorf("looking for a .btf file in the archive: %w", err)
		}
		switch {
		case header.Typeflag == tar.TypeDir: // "./", as some tools write first
		case header.Typeflag != tar.TypeReg || !strings.HasSuffix(header.Name, ".btf"):
			return nil, fmt.Errorf("the archive has an entry %q that is no .btf file", clip(header.Name))
		case found != nil:
			return nil, errors.New("the archive has several files")
		case header.Size > int64(len(stream)): // sparse
			return nil, errTooLarge
		default:
			if found, err = readLimited(archive); err != nil {
				return nil, err
			}
		}
	}
}

// maxQuoted is how much of a foreign name an error quotes, in bytes.
const maxQuoted = 100

func clip(s string) string { return excerpt.Of(s, maxQuoted) }
