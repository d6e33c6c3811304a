// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// StoreReport is what [Store.Check] found.
type StoreReport struct {
	// Checked counts the files that were hashed, Bytes what they hold.
	Checked int   `json:"checked"`
	Bytes   int64 `json:"bytes"`
	// Problems are sorted by digest.
	Problems []StoreProblem `json:"problems"`
}

// StoreProblem is one blob or manifest that is not as it should be.
type StoreProblem struct {
	Digest digest.Digest `json:"digest"`
	// Problem says what is wrong: "missing", "damaged" or "unreadable: …".
	Problem string `json:"problem"`
	// Images are the names that need it; none if nothing does.
	Images []Reference `json:"images"`
	// Repaired says that it is whole again, or gone if nothing needs it.
	Repaired bool `json:"repaired"`

	desc ocispec.Descriptor // as the manifest that names it says; Size -1 if unknown
}

// The problems a check finds.
const (
	problemMissing = "missing"
	problemDamaged = "damaged"
)

// Check reads and hashes everything in the store, whether an image needs it or
// not, and looks for what images need and is not there. Platforms of an index
// that were never pulled are not missed. It changes nothing.
func (s *Store) Check(ctx context.Context) (StoreReport, error) {
	c := &storeCheck{s: s, report: StoreReport{Problems: []StoreProblem{}}, state: map[digest.Digest]string{}, bad: map[digest.Digest]*StoreProblem{}}
	if err := c.run(ctx); err != nil {
		return StoreReport{}, fmt.Errorf("checking the local store %s: %w", s.dir, err)
	}
	return c.report, nil
}

// storeCheck is one call of [Store.Check].
type storeCheck struct {
	s      *Store
	report StoreReport
	// state is "" for what is intact; of all that was looked at.
	state map[digest.Digest]string
	bad   map[digest.Digest]*StoreProblem
}

func (c *storeCheck) run(ctx context.Context) error {
	index, err := c.s.loadIndex()
	if err != nil {
		return err
	}
	owners, err := c.s.owners(&index)
	if err != nil {
		return err
	}
	for _, entry := range index.Manifests {
		if err := ctx.Err(); err != nil {
			return err
		}
		names := owners[entry.Digest]
		if ref, ok := entryReference(entry); ok {
			names = []Reference{ref}
		}
		c.manifest(entry, names, true)
	}
	if err := c.strays(ctx); err != nil {
		return err
	}
	for _, p := range c.bad {
		c.report.Problems = append(c.report.Problems, *p)
	}
	sortProblems(c.report.Problems)
	return nil
}

func sortProblems(list []StoreProblem) {
	slices.SortFunc(list, func(a, b StoreProblem) int { return cmp.Compare(a.Digest, b.Digest) })
}

// owners says of every manifest and blob below a name, and of what is attached
// to that, by which names it can be fetched again.
func (s *Store) owners(index *ocispec.Index) (map[digest.Digest][]Reference, error) {
	owners := map[digest.Digest][]Reference{}
	var referrers []ocispec.Descriptor
	for _, entry := range index.Manifests {
		ref, ok := entryReference(entry)
		if !ok {
			referrers = append(referrers, entry)
			continue
		}
		below, err := s.below(entry.Digest)
		if err != nil {
			return nil, err
		}
		for d := range below {
			owners[d] = append(owners[d], ref)
		}
	}
	for found := true; found; { // referrers can have referrers
		found = false
		for _, entry := range referrers {
			names := owners[digest.Digest(entry.Annotations[annotationSubject])]
			if len(names) > 0 && owners[entry.Digest] == nil {
				owners[entry.Digest], found = names, true
			}
		}
	}
	return owners, nil
}

// manifest checks a manifest and all below it. needed is false for a child of an
// index, which may be absent.
func (c *storeCheck) manifest(desc ocispec.Descriptor, names []Reference, needed bool) {
	state := c.look(desc.Digest)
	if state == problemMissing && !needed {
		return
	}
	if state != "" {
		c.add(desc, state, names)
		return
	}
	data, err := c.s.readBlob(desc.Digest, MaxManifest)
	if err != nil {
		return // it changed since
	}
	var content manifestLinks
	if boundedjson.Unmarshal(data, &content) != nil {
		return
	}
	if content.Config.Digest != "" {
		for _, leaf := range append(content.Layers, content.Config) {
			c.leaf(leaf, names)
		}
	}
	for _, child := range content.Manifests {
		c.manifest(child, names, false)
	}
}

func (c *storeCheck) leaf(desc ocispec.Descriptor, names []Reference) {
	if checkDigest(desc.Digest.String()) != nil {
		return
	}
	if state := c.look(desc.Digest); state != "" {
		c.add(desc, state, names)
	}
}

func (c *storeCheck) add(desc ocispec.Descriptor, state string, names []Reference) {
	p := c.bad[desc.Digest]
	if p == nil {
		p = &StoreProblem{Digest: desc.Digest, Problem: state, Images: []Reference{}, desc: desc}
		c.bad[desc.Digest] = p
	}
	for _, name := range names {
		if !slices.Contains(p.Images, name) {
			p.Images = append(p.Images, name)
		}
	}
}

// look hashes a blob, once.
func (c *storeCheck) look(d digest.Digest) string {
	state, known := c.state[d]
	if known {
		return state
	}
	size, err := c.s.hashBlob(d)
	switch {
	case errors.Is(err, ErrNotFound):
		state = problemMissing
	case errors.Is(err, ErrDigestMismatch):
		state = problemDamaged
	case err != nil:
		state = "unreadable: " + err.Error()
	}
	if state != problemMissing {
		c.report.Checked++
		c.report.Bytes += size
	}
	c.state[d] = state
	return state
}

// hashBlob reads a blob of any size.
func (s *Store) hashBlob(d digest.Digest) (size int64, err error) {
	if err := checkDigest(d.String()); err != nil {
		return 0, err
	}
	return hashFile(s.blobPath(d), d)
}

// hashFile reads a file of any size, which d should name, piece by piece.
func hashFile(path string, d digest.Digest) (size int64, err error) {
	f, err := limited.Open(path, os.O_RDONLY, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return 0, ErrNotFound
	case errors.Is(err, limited.ErrNotRegular):
		return 0, ErrDigestMismatch
	case err != nil:
		return 0, err
	}
	defer func() { err = joined.Errors(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	got, err := d.Algorithm().FromReader(f)
	if err == nil && got != d {
		err = ErrDigestMismatch
	}
	return info.Size(), err
}

// strays checks the files that no image needs.
func (c *storeCheck) strays(ctx context.Context) error {
	files, err := c.s.blobFiles()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, file := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		if state := c.look(file.digest); state != "" && state != problemMissing {
			c.add(ocispec.Descriptor{Digest: file.digest, Size: -1}, state, nil)
		}
	}
	return nil
}
