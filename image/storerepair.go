// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// repairRounds is how often a repaired manifest may show that more is missing
// below it: an index, its images, their blobs, and their referrers.
const repairRounds = 4

// Repair checks the store and fetches what is missing or damaged from src, by
// digest, under each of the names that need it until one has it. Damaged files
// nothing needs are deleted. The report says what was found, and of each problem
// whether it is repaired; problems joins the reasons why some are not ([joined.Each]).
func (s *Store) Repair(ctx context.Context, src Source) (report StoreReport, problems error, err error) {
	found := map[digest.Digest]*StoreProblem{}
	for range repairRounds {
		report, err = s.Check(ctx)
		if err != nil {
			return report, nil, err
		}
		progress := false
		problems = nil
		for i := range report.Problems {
			p := report.Problems[i]
			failed := s.repair(ctx, src, p)
			if failed != nil {
				problems = joined.Errors(problems, fmt.Errorf("%s is %s: %w", p.Digest, p.Problem, failed))
			}
			p.Repaired = failed == nil
			progress = progress || p.Repaired
			found[p.Digest] = &p
		}
		if !progress {
			break
		}
	}
	report.Problems = report.Problems[:0]
	for _, p := range found {
		report.Problems = append(report.Problems, *p)
	}
	sortProblems(report.Problems)
	return report, problems, nil
}

// errNobody: there is no name to ask for.
var errNobody = errors.New("no image's name says where to fetch it from; `bpfimg prune` removes what belongs to no image")

// repair mends one problem.
func (s *Store) repair(ctx context.Context, src Source, p StoreProblem) error {
	if p.desc.Size < 0 {
		return s.discard(ctx, p.Digest)
	}
	failed := error(nil)
	for _, name := range p.Images {
		data, err := fetchAgain(ctx, src, name, p)
		if err != nil {
			failed = joined.Errors(failed, err)
			continue
		}
		// An empty folder in the file's place cannot be replaced by renaming.
		if info, err := os.Lstat(s.blobPath(p.Digest)); err == nil && !info.Mode().IsRegular() {
			if err := os.Remove(s.blobPath(p.Digest)); err != nil {
				return s.cannotWrite(err)
			}
		}
		err = s.PutBlob(ctx, name, p.desc, data, "")
		if err == nil {
			err = s.syncEach([]digest.Digest{p.Digest})
		}
		return err
	}
	if failed == nil {
		return errNobody
	}
	return failed
}

// fetchAgain reads a manifest or a blob, whichever the digest is.
func fetchAgain(ctx context.Context, src Source, name Reference, p StoreProblem) ([]byte, error) {
	if kindOf(p.desc.MediaType) != kindUnknown {
		m, err := readManifest(ctx, src, name.WithDigest(p.Digest.String()))
		return m.Bytes, err
	}
	return src.Blob(ctx, name, p.desc, MaxLayer)
}

// discard deletes a damaged file that nothing needs. Under the lock, because
// others may just be writing it anew.
func (s *Store) discard(ctx context.Context, d digest.Digest) error {
	return s.update(ctx, func(*ocispec.Index) (func() error, error) {
		return func() error {
			if _, err := s.hashBlob(d); err == nil || errors.Is(err, ErrNotFound) {
				return nil
			}
			if err := os.Remove(s.blobPath(d)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return s.cannotWrite(err)
			}
			return nil
		}, nil
	})
}
