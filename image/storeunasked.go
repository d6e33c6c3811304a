// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
)

// unaskedFolder holds a file for each manifest of which something attached was left
// where it is.
const unaskedFolder = "unasked"

// maxUnasked bounds such a file, in bytes: [MaxReferrers] digests, of sha512 up to 138
// bytes each, and two tags.
const maxUnasked = 256 << 10

// Unasked is what a registry has attached to a manifest, or may have, and what was
// not fetched along with it: what is not in the store is then not known to be
// absent.
type Unasked struct {
	// Unlisted says that not even the list was asked for. Referrers are digests from
	// it, Tags those of cosign 2 that were not asked for.
	Unlisted  bool            `json:"unlisted,omitempty"`
	Referrers []digest.Digest `json:"referrers,omitempty"`
	Tags      []string        `json:"tags,omitempty"`
}

// None says that everything was asked for.
func (u Unasked) None() bool { return !u.Unlisted && len(u.Referrers)+len(u.Tags) == 0 }

// SetUnasked records what of the attachments of subject (ref's digest) was left where
// it is; it replaces an older record.
func (s *Store) SetUnasked(ctx context.Context, ref Reference, u Unasked) error {
	if err := joined.Errors(ctx.Err(), ref.check(), checkDigest(ref.digest)); err != nil {
		return fmt.Errorf("recording what is attached to %s: %w", ref, err)
	}
	path := s.unaskedPath(digest.Digest(ref.digest))
	if u.None() {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return s.cannotWrite(err)
		}
		return nil
	}
	u.Referrers = u.Referrers[:min(len(u.Referrers), MaxReferrers)]
	data, err := json.Marshal(u)
	if err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), s.mode); err != nil {
		return s.cannotWrite(err)
	}
	// Not synced: a power cut may damage it, and who reads it then asks again.
	return s.writeFile(path, data, func(*os.File) error { return nil })
}

// Unasked returns what of the attachments of ref's digest is not in the store since
// nobody asked for it. An error leaves that open.
func (s *Store) Unasked(ctx context.Context, ref Reference) (Unasked, error) {
	var u Unasked
	if err := joined.Errors(ctx.Err(), checkDigest(ref.digest)); err != nil {
		return u, fmt.Errorf("reading what is attached to %s: %w", ref, err)
	}
	data, err := readFile(s.unaskedPath(digest.Digest(ref.digest)), maxUnasked)
	if errors.Is(err, ErrNotFound) {
		return u, nil
	}
	if err == nil {
		err = boundedjson.Unmarshal(data, &u)
	}
	if err != nil {
		return Unasked{}, fmt.Errorf("reading what is attached to %s: %w", ref, err)
	}
	u.Referrers = slices.DeleteFunc(u.Referrers, func(d digest.Digest) bool {
		if checkDigest(d.String()) != nil {
			return true
		}
		_, err := os.Stat(s.blobPath(d))
		return err == nil
	})
	u.Tags = slices.DeleteFunc(u.Tags, func(tag string) bool {
		_, err := s.manifest(ctx, ref.WithTag(tag))
		return err == nil
	})
	return u, nil
}

func (s *Store) unaskedPath(d digest.Digest) string {
	return filepath.Join(s.dir, unaskedFolder, d.Algorithm().String()+"-"+d.Encoded())
}

// sweepUnasked deletes the records about manifests that are gone. A record is written
// before its manifest arrives, so that a new one stays; so does what is no record.
func (s *Store) sweepUnasked() {
	entries, err := os.ReadDir(filepath.Join(s.dir, unaskedFolder))
	if err != nil {
		return // there is none, as a rule
	}
	for _, entry := range entries {
		algorithm, hex, _ := strings.Cut(entry.Name(), "-")
		d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), hex)
		info, err := entry.Info()
		if err != nil || checkDigest(d.String()) != nil || !s.abandoned(info) {
			continue
		}
		if _, err := os.Stat(s.blobPath(d)); errors.Is(err, fs.ErrNotExist) {
			_ = os.Remove(filepath.Join(s.dir, unaskedFolder, entry.Name()))
		}
	}
}
