// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Pruned is what [Store.Prune] deleted, or would delete.
type Pruned struct {
	// Blobs counts files, Bytes what they hold.
	Blobs int   `json:"blobs"`
	Bytes int64 `json:"bytes"`
}

// PruneOptions of [Store.Prune].
type PruneOptions struct {
	// Now deletes what is younger than an hour too. It may belong to an image
	// that another process is just storing, whose last step then fails or, with
	// [Copy], begins again.
	Now bool
	// DryRun deletes nothing.
	DryRun bool
}

// Prune deletes what no image needs: blobs that interrupted writes have left,
// and referrers of images that are gone.
func (s *Store) Prune(ctx context.Context, opts PruneOptions) (pruned Pruned, err error) {
	if _, err := os.Stat(s.dir); errors.Is(err, fs.ErrNotExist) {
		return pruned, nil
	}
	err = s.update(ctx, func(index *ocispec.Index) (func() error, error) {
		used := map[digest.Digest]bool{}
		if opts.Now {
			if used, err = s.everything(); err != nil {
				return nil, err
			}
			for _, entry := range index.Manifests {
				used[digest.Digest(entry.Annotations[annotationSubject])] = true
			}
		}
		kept := *index
		kept.Manifests = append([]ocispec.Descriptor{}, index.Manifests...)
		live, err := s.dropDeadReferrers(&kept, used)
		if err != nil {
			return nil, err
		}
		if !opts.DryRun {
			*index = kept
		}
		return func() (err error) {
			pruned, err = s.sweep(live, used, opts.DryRun)
			return err
		}, nil
	})
	return pruned, err
}

// everything is the set of all blobs that are there.
func (s *Store) everything() (map[digest.Digest]bool, error) {
	files, err := s.blobFiles()
	if err != nil {
		return nil, fmt.Errorf("reading the local store: %w", err)
	}
	all := map[digest.Digest]bool{}
	for _, file := range files {
		all[file.digest] = true
	}
	return all, nil
}
