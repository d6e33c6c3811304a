// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// unaskedFolder holds a file for each manifest of which something attached was left
// where it is.
const unaskedFolder = "unasked"

// maxUnasked bounds such a file, in bytes: twice [MaxReferrers] digests, which are up to
// 138 bytes with what is around them, and [maxRecorded] names with three tags each.
const maxUnasked = 320 << 10

// Unasked is what a registry has attached to a manifest, or may have, and what was
// not fetched along with it: what is not in the store is then not known to be
// absent.
type Unasked struct {
	// Unlisted says that not even the list was asked for. Referrers are digests from
	// it, Tags those of cosign 2 that were not asked for.
	Unlisted  bool            `json:"unlisted,omitempty"`
	Referrers []digest.Digest `json:"referrers,omitempty"`
	Tags      []string        `json:"tags,omitempty"`
	// Needless says that it was left since it was not needed, by who would have taken
	// more, and not for a limit or for what it is.
	Needless bool `json:"needless,omitempty"`
}

// None says that everything was asked for.
func (u Unasked) None() bool { return !u.Unlisted && len(u.Referrers)+len(u.Tags) == 0 }

// And is what u or v says was left.
func (u Unasked) And(v Unasked) Unasked {
	return Unasked{
		Unlisted:  u.Unlisted || v.Unlisted,
		Referrers: eachOnce(slices.Concat(u.Referrers, v.Referrers)),
		Tags:      eachOnce(slices.Concat(u.Tags, v.Tags)),
		Needless:  u.Needless || v.Needless,
	}
}

// unaskedNotes are the content of such a file: what was left in each repository that has
// the manifest ("localhost:5000/xdp-counter"), since what one has says nothing of another.
type unaskedNotes struct {
	Names map[string]Unasked `json:"names"`
}

// of is the note for ref's repository or, without one, all that is known of others: their
// image got this name here.
func (n unaskedNotes) of(ref Reference) Unasked {
	if u, ok := n.Names[ref.Name()]; ok {
		return u
	}
	var all Unasked
	for _, u := range n.Names {
		all = all.And(u)
	}
	return all
}

// set replaces the note for ref's repository, and says whether there is anything left
// to note. What becomes of others over the limits errs on the side of asking again.
func (n *unaskedNotes) set(ref Reference, u Unasked) bool {
	if n.Names == nil {
		n.Names = map[string]Unasked{}
	}
	u.Referrers = u.Referrers[:min(len(u.Referrers), MaxReferrers)]
	n.Names[ref.Name()] = u
	listed, left := 0, !u.None()
	for _, name := range slices.Sorted(maps.Keys(n.Names)) {
		other := n.Names[name]
		switch {
		case name == ref.Name():
			continue
		case len(n.Names) > maxRecorded:
			delete(n.Names, name)
			continue
		case listed+len(other.Referrers) > MaxReferrers:
			other = Unasked{Unlisted: true, Needless: other.Needless}
			n.Names[name] = other
		}
		listed += len(other.Referrers)
		left = left || !other.None()
	}
	return left
}

// SetUnasked records what of the attachments of subject (ref's digest) was left in ref's
// repository; it replaces an older record.
func (s *Store) SetUnasked(ctx context.Context, ref Reference, u Unasked) (err error) {
	if err := joined.Errors(ctx.Err(), ref.check(), checkDigest(ref.digest)); err != nil {
		return fmt.Errorf("recording what is attached to %s: %w", ref, err)
	}
	path := s.unaskedPath(digest.Digest(ref.digest))
	if _, err := os.Stat(path); u.None() && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return s.locked(ctx, func(*ocispec.Index, []ocispec.Descriptor) error {
		notes, err := readNotes(path)
		if err != nil {
			notes = unaskedNotes{} // it is damaged
		}
		if !notes.set(ref, u) {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return s.cannotWrite(err)
			}
			return nil
		}
		data, err := json.Marshal(notes)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(path), s.mode); err != nil {
			return s.cannotWrite(err)
		}
		// Not synced: a power cut may damage it, and who reads it then asks again.
		return s.writeFile(path, data, func(*os.File) error { return nil })
	})
}

func readNotes(path string) (notes unaskedNotes, err error) {
	data, err := readFile(path, maxUnasked)
	if errors.Is(err, ErrNotFound) {
		return notes, nil
	}
	if err == nil {
		err = boundedjson.Unmarshal(data, &notes)
	}
	return notes, err
}

// Unasked returns what of the attachments of ref's digest is not in the store since
// nobody asked for it. An error leaves that open.
func (s *Store) Unasked(ctx context.Context, ref Reference) (Unasked, error) {
	if err := joined.Errors(ctx.Err(), checkDigest(ref.digest)); err != nil {
		return Unasked{}, fmt.Errorf("reading what is attached to %s: %w", ref, err)
	}
	notes, err := readNotes(s.unaskedPath(digest.Digest(ref.digest)))
	if err != nil {
		return Unasked{}, fmt.Errorf("reading what is attached to %s: %w", ref, err)
	}
	u := notes.of(ref)
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
