// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layoutFixed are the files of a layout beside its blobs.
var layoutFixed = []string{ocispec.ImageLayoutFile, ocispec.ImageIndexFile}

// writeLayoutTar is [writeLayout] to a new file.
func writeLayoutTar(ctx context.Context, path string, s *Store, blobs map[digest.Digest]bool) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, f.Close()) }()
	return joined.Errors(writeLayout(ctx, f, s, blobs), f.Sync())
}

// writeLayout writes the layout of s with those of the blobs that are there. Nothing
// in the archive depends on when or where it is written.
func writeLayout(ctx context.Context, out io.Writer, s *Store, blobs map[digest.Digest]bool) error {
	archive := tar.NewWriter(&boundedWriter{out, maxArchive})
	for _, name := range layoutFixed {
		if err := addFile(archive, name, filepath.Join(s.dir, name)); err != nil {
			return err
		}
	}
	for _, folder := range layoutFolders(blobs) {
		header := &tar.Header{Typeflag: tar.TypeDir, Name: folder, Mode: exportMode, ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
	}
	for _, d := range slices.Sorted(maps.Keys(blobs)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if checkDigest(d.String()) != nil {
			continue
		}
		name := ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
		if err := addFile(archive, name, s.blobPath(d)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return archive.Close()
}

// boundedWriter refuses to write what would not be read again.
type boundedWriter struct {
	out  io.Writer
	left int64
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, fmt.Errorf("it is over %d bytes, more than is read again; save fewer images at a time: %w", int64(maxArchive), ErrTooLarge)
	}
	return b.out.Write(p)
}

// layoutFolders are those of a layout with these blobs.
func layoutFolders(blobs map[digest.Digest]bool) []string {
	folders := []string{ocispec.ImageBlobsDir + "/"}
	for i, a := range algorithms {
		used := func(d digest.Digest) bool { return isBy(a, d) }
		if i == 0 || slices.ContainsFunc(slices.Collect(maps.Keys(blobs)), used) {
			folders = append(folders, ocispec.ImageBlobsDir+"/"+a.String()+"/")
		}
	}
	return folders
}

// addFile copies one file into the archive.
func addFile(archive *tar.Writer, name, path string) (err error) {
	f, err := limited.Open(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// The name of a blob by SHA-512 is too long for the plain form. The package takes
	// the extended one for those alone.
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: fileMode, ModTime: time.Unix(0, 0)}
	if err := archive.WriteHeader(header); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if _, err := io.Copy(archive, f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
