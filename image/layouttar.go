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
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// layoutFixed are the files of a layout beside its blobs.
var layoutFixed = []string{ocispec.ImageLayoutFile, ocispec.ImageIndexFile}

// writeLayoutTar writes the layout of s with those of the blobs that are there.
// Nothing in the archive depends on when or where it is written.
func writeLayoutTar(ctx context.Context, path string, s *Store, blobs map[digest.Digest]bool) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	defer func() { err = joined.Errors(err, f.Close()) }()
	archive := tar.NewWriter(f)
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
	if err := joined.Errors(archive.Close(), f.Sync()); err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() > maxArchive {
		err = fmt.Errorf("it is %d bytes, of which at most %d are read again; save fewer images at a time: %w", info.Size(), int64(maxArchive), ErrTooLarge)
	}
	return err
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
	f, err := os.Open(path)
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
