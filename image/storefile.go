// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	fileMode = 0o644
	// tempFolder is on the same file system as the blobs, or renaming would copy.
	tempFolder = "tmp"
	// leftoverAge is when an unfinished file or an unreferenced blob is taken for
	// abandoned. Writes take seconds, a whole copy minutes.
	leftoverAge = time.Hour
)

// checkLayout refuses a folder that is a layout of another version.
func (s *Store) checkLayout() error {
	path := filepath.Join(s.dir, ocispec.ImageLayoutFile)
	data, err := readFile(path, MaxConfig)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening %s: %w", s.what, err)
	}
	var layout ocispec.ImageLayout
	if err := boundedjson.Unmarshal(data, &layout); err != nil || layout.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("opening %s: %s does not say imageLayoutVersion %s; move %s away or %s",
			s.what, path, ocispec.ImageLayoutVersion, s.dir, s.elsewhere)
	}
	return nil
}

// prepare creates what is missing of the layout.
func (s *Store) prepare() error {
	for _, dir := range []string{s.blobFolder(algorithms[0]), filepath.Join(s.dir, tempFolder)} {
		if err := os.MkdirAll(dir, s.mode); err != nil {
			return s.cannotWrite(err)
		}
	}
	path := filepath.Join(s.dir, ocispec.ImageLayoutFile)
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	data, err := json.Marshal(ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
	if err != nil {
		return fmt.Errorf("encoding %s: %w", ocispec.ImageLayoutFile, err)
	}
	return s.writeDurably(path, data, s.syncAlone)
}

// prepareFor is prepare and makes the folder that the blob d is kept in.
func (s *Store) prepareFor(d digest.Digest) error {
	if err := s.prepare(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.blobPath(d)), s.mode); err != nil {
		return s.cannotWrite(err)
	}
	return nil
}

// writeDurably puts data at path so that it survives a power cut. sync is what makes
// the file durable before it gets its name.
func (s *Store) writeDurably(path string, data []byte, sync func(*os.File) error) error {
	if err := s.writeFile(path, data, sync); err != nil {
		return err
	}
	return s.syncFolder(filepath.Dir(path))
}

// writeFile puts data at path, whole or not at all. finish is called with the
// file before it gets its name. It is not [atomicfile.Write], since it writes in a
// folder whose leftovers a store removes by their age, leaves syncing many files to
// [Store.barrier], and tests stop it after each step.
func (s *Store) writeFile(path string, data []byte, finish func(*os.File) error) error {
	f, err := os.CreateTemp(filepath.Join(s.dir, tempFolder), "write-*")
	if err != nil {
		return s.cannotWrite(err)
	}
	if err := joined.Errors(s.fill(f, data, finish), f.Close()); err != nil {
		return s.cannotWrite(joined.Errors(err, os.Remove(f.Name())))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return s.cannotWrite(joined.Errors(err, os.Remove(f.Name())))
	}
	if err := s.did("rename"); err != nil {
		return s.cannotWrite(err)
	}
	return nil
}

func (s *Store) fill(f *os.File, data []byte, finish func(*os.File) error) error {
	if err := s.did("create"); err != nil {
		return err
	}
	half := len(data) / 2
	for _, part := range [][]byte{data[:half], data[half:]} {
		if _, err := f.Write(part); err != nil {
			return err
		}
		if err := s.did("write"); err != nil {
			return err
		}
	}
	if err := f.Chmod(fileMode); err != nil {
		return err
	}
	if err := finish(f); err != nil {
		return err
	}
	return s.did("finish")
}

func (s *Store) did(step string) error {
	if s.step == nil {
		return nil
	}
	return s.step(step)
}

// cannotWrite says what to do about the usual reasons.
func (s *Store) cannotWrite(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return fmt.Errorf("%s %s is not writable; %s: %w", s.what, s.dir, s.elsewhere, err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%s %s: the disk is full; %s: %w", s.what, s.dir, s.space, err)
	}
	return fmt.Errorf("writing to %s %s: %w", s.what, s.dir, err)
}

// readBlob reads a blob of at most limit bytes and hashes it.
func (s *Store) readBlob(d digest.Digest, limit int64) ([]byte, error) {
	if err := checkDigest(d.String()); err != nil {
		return nil, err
	}
	data, err := readFile(s.blobPath(d), limit)
	if err != nil {
		return nil, err
	}
	if !isNamed(data, d) {
		return nil, fmt.Errorf("%s is damaged: %w", s.blobPath(d), ErrDigestMismatch)
	}
	return data, nil
}

// readFile reads a regular file of at most limit bytes.
func readFile(path string, limit int64) (data []byte, err error) {
	f, err := limited.Open(path, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", path, ErrNotFound)
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
		return nil, fmt.Errorf("%s is %d bytes, at most %d are allowed: %w", path, info.Size(), limit, ErrTooLarge)
	}
	data = make([]byte, info.Size())
	if _, err := io.ReadFull(f, data); err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	return data, nil
}

// removeLeftovers deletes unfinished writes of processes that are gone. It is
// housekeeping: what cannot be deleted now is tried again at the next write.
func (s *Store) removeLeftovers() {
	entries, err := os.ReadDir(filepath.Join(s.dir, tempFolder))
	if err != nil {
		return
	}
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil && s.abandoned(info) {
			_ = os.Remove(filepath.Join(s.dir, tempFolder, entry.Name())) // see above
		}
	}
}

func (s *Store) abandoned(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && s.now().Sub(info.ModTime()) > leftoverAge
}
