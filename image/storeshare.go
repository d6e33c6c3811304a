// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ShareOptions of [Store.Share]; the zero value is ready for use.
type ShareOptions struct {
	// Waiting, if set, is called when another process is downloading what d names
	// and has not finished for three seconds. It must be safe for concurrent use.
	Waiting func(ref Reference, d digest.Digest)
}

// Share returns a source that reads from src what the store does not have, and
// makes sure that of all goroutines and processes that use this store, one
// downloads a blob or manifest (by digest) and the others wait for it: a hundred
// simultaneous pulls of an image fetch it once. Tags and lists of referrers are
// read from src by each, because they can change.
//
// What was downloaded is handed on through a file in tmp/, which [Store.PutBlob]
// and [Store.PutManifest] then move to its place. Images that are not kept, since
// they are refused, thus leave nothing that lasts: a later write removes the files
// after an hour. Who waits, waits until its context ends; a process that dies
// while it downloads is followed by the next. A store that cannot be written
// shares nothing, which is no error.
func (s *Store) Share(src Source, opts ShareOptions) Shared {
	return &sharedSource{store: s, src: src, waiting: opts.Waiting, patience: sharePatience}
}

// Shared is what [Store.Share] returns.
type Shared interface {
	Conditional
	// Discard removes what was downloaded through this value and not kept, for an image
	// that is refused. Others that wait for it download it again.
	Discard() error
}

// sharePatience is how long waiting for another process is not worth a word.
const sharePatience = 3 * time.Second

type sharedSource struct {
	store    *Store
	src      Source
	waiting  func(Reference, digest.Digest)
	patience time.Duration

	mu    sync.Mutex
	wrote []string // files in tmp/
}

// ManifestUnless implements [Conditional].
func (f *sharedSource) ManifestUnless(ctx context.Context, ref Reference, known Manifest) (Manifest, error) {
	if src, ok := f.src.(Conditional); ok {
		return src.ManifestUnless(ctx, ref, known)
	}
	return f.Manifest(ctx, ref)
}

// Discard implements [Shared].
func (f *sharedSource) Discard() (failed error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, path := range f.wrote {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = joined.Errors(failed, f.store.cannotWrite(err))
		}
	}
	f.wrote = nil
	return failed
}

// Manifest implements [Source].
func (f *sharedSource) Manifest(ctx context.Context, ref Reference) (Manifest, error) {
	if err := ref.check(); err != nil || ref.digest == "" {
		return f.src.Manifest(ctx, ref) // which words the error
	}
	var fetched *Manifest
	data, err := f.once(ctx, ref, digest.Digest(ref.digest), manifestLimit(ctx), func() ([]byte, error) {
		m, err := readManifest(ctx, f.src, ref)
		fetched = &m
		return m.Bytes, err
	})
	if fetched != nil || err != nil {
		if fetched == nil {
			fetched = &Manifest{}
		}
		return *fetched, err
	}
	return newManifest(data, "", digest.Digest(ref.digest))
}

// Blob implements [Source].
func (f *sharedSource) Blob(ctx context.Context, ref Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	fetch := func() ([]byte, error) { return f.src.Blob(ctx, ref, desc, limit) }
	if checkDescriptor(desc, limit) != nil {
		return fetch() // which words the error
	}
	data, err := f.once(ctx, ref, desc.Digest, desc.Size, fetch)
	if err != nil {
		return nil, err
	}
	return data, checkContent(data, desc)
}

// Referrers implements [Source].
func (f *sharedSource) Referrers(ctx context.Context, ref Reference) ([]ocispec.Descriptor, error) {
	return f.src.Referrers(ctx, ref)
}

// once returns what d names, of at most limit bytes: what is there, or else what
// fetch brings.
func (f *sharedSource) once(ctx context.Context, ref Reference, d digest.Digest, limit int64, fetch func() ([]byte, error)) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s := f.store
	if data, err := s.readShared(d, limit); err == nil {
		return data, nil
	}
	unlock, err := f.lock(ctx, ref, d)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("waiting for another process that downloads %s: %w", ref.WithDigest(d.String()), err)
	case err != nil:
		return fetch()
	}
	defer unlock()
	if data, err := s.readShared(d, limit); err == nil {
		return data, nil
	}
	data, err := fetch()
	if err == nil && isNamed(data, d) {
		f.mu.Lock()
		f.wrote = append(f.wrote, s.sharedPath(d))
		f.mu.Unlock()
		// Whoever waits downloads it again if it cannot be written.
		_ = s.writeFile(s.sharedPath(d), data, func(*os.File) error { return nil })
	}
	return data, err
}

// lock takes the lock on d, and says so when that takes long. Nothing is said after it
// has returned, when a command may have ended.
func (f *sharedSource) lock(ctx context.Context, ref Reference, d digest.Digest) (unlock func(), err error) {
	if err := f.store.prepare(); err != nil {
		return nil, err
	}
	if f.waiting != nil {
		said := make(chan struct{})
		timer := time.AfterFunc(f.patience, func() {
			defer close(said)
			f.waiting(ref, d)
		})
		defer func() {
			if !timer.Stop() {
				<-said
			}
		}()
	}
	return lockShared(ctx, f.store.sharedPath(d)+".lock")
}

// lockShared takes the lock that is the file at path, which unlock removes.
// Whoever got the lock of a file that was removed meanwhile holds nothing that
// others see, and tries again.
func lockShared(ctx context.Context, path string) (unlock func(), err error) {
	for {
		f, err := openLocked(ctx, path)
		if err != nil {
			return nil, err
		}
		same, err := isAt(f, path)
		if same {
			return func() {
				_ = os.Remove(path) // or it stays for an hour: some systems remove no open file
				_ = f.Close()       // ends the lock
			}, nil
		}
		if closed := f.Close(); err != nil {
			return nil, joined.Errors(err, closed)
		}
	}
}

// isAt says whether the open file is the one at path.
func isAt(f *os.File, path string) (bool, error) {
	open, err := f.Stat()
	if err != nil {
		return false, err
	}
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(open, there), err
}

// sharedPath is where what d names waits to be kept. On Windows a colon would
// name something else than a file.
func (s *Store) sharedPath(d digest.Digest) string {
	return filepath.Join(s.dir, tempFolder, d.Algorithm().String()+"-"+d.Encoded())
}

// readShared reads what d names, kept or not. In this order, because what is
// moved to its place in between is then found there.
func (s *Store) readShared(d digest.Digest, limit int64) ([]byte, error) {
	data, err := readFile(s.sharedPath(d), limit)
	if err == nil && isNamed(data, d) {
		return data, nil
	}
	return s.readBlob(d, limit)
}

// adopt moves what was downloaded for d to its place, if it is there.
func (s *Store) adopt(desc ocispec.Descriptor) bool {
	if checkDigest(desc.Digest.String()) != nil || !holds(s.sharedPath(desc.Digest), desc) || s.did("adopt") != nil {
		return false
	}
	now := s.now() // young again, see freshen
	return joined.Errors(os.Chtimes(s.sharedPath(desc.Digest), now, now), os.Rename(s.sharedPath(desc.Digest), s.blobPath(desc.Digest))) == nil
}
