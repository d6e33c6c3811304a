// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/bpfimg/bpfimg/internal/atomicfile"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"
)

// syncJobs is how many files are synced at a time. File systems with a journal make
// all that wait at one moment durable with one write of it.
const syncJobs = 16

// barrier makes blobs, and that they are there, survive a power cut, and with them
// what is in the file index, which may be nil. It is the one wait for the disk before
// index.json names the blobs: everything until then may be torn, but nothing leads
// to it, and whatever is read is hashed.
//
// All blobs that the index will need are synced, not only those that were written now: the
// others may be of a process that was killed before its own barrier.
func (s *Store) barrier(disk *os.File, blobs []digest.Digest, index *os.File) error {
	if len(blobs) > 0 {
		done, err := s.syncWhole(disk)
		if done || err != nil {
			return err
		}
		if err := s.syncEach(blobs); err != nil {
			return err
		}
	}
	if index == nil {
		return nil
	}
	if err := index.Sync(); err != nil {
		return s.cannotWrite(err)
	}
	return s.did("sync")
}

// syncAlone is the barrier for a file that leads to nothing new.
func (s *Store) syncAlone(f *os.File) error { return s.barrier(nil, nil, f) }

// syncWhole syncs the file system by one call, if disk is open.
func (s *Store) syncWhole(disk *os.File) (done bool, err error) {
	if disk == nil {
		return false, nil
	}
	done, err = syncDisk(disk)
	if err != nil {
		return false, s.cannotWrite(fmt.Errorf("syncing the file system: %w", err))
	}
	if !done {
		return false, nil
	}
	return true, s.did("syncfs")
}

// syncEach syncs blobs one by one, side by side, and then the folders they are in.
func (s *Store) syncEach(blobs []digest.Digest) error {
	var (
		group errgroup.Group
		mu    sync.Mutex // of did, which need not be safe for concurrent use
	)
	group.SetLimit(syncJobs)
	for _, d := range blobs {
		group.Go(func() error {
			if err := s.syncBlob(d); err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			return s.did("sync")
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var folders []string
	for _, a := range algorithms {
		if slices.ContainsFunc(blobs, func(d digest.Digest) bool { return isBy(a, d) }) {
			folders = append(folders, s.blobFolder(a))
		}
	}
	folders = append(folders, filepath.Dir(s.blobFolder(algorithms[0]))) // one of them may be new
	for _, dir := range folders {
		if err := s.syncFolder(dir); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) syncBlob(d digest.Digest) error {
	f, err := limited.Open(s.blobPath(d), os.O_RDWR, 0) // some systems sync only what can be written
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob %s: %w", d, errMissingBlob) // another process has just removed it
	}
	if err != nil {
		return s.cannotWrite(err)
	}
	if err := joined.Errors(f.Sync(), f.Close()); err != nil {
		return s.cannotWrite(err)
	}
	return nil
}

// syncFolder makes what was renamed in dir last through a power cut.
func (s *Store) syncFolder(dir string) error {
	if err := joined.Errors(atomicfile.SyncFolder(dir), s.did("sync folder")); err != nil {
		return s.cannotWrite(err)
	}
	return nil
}
