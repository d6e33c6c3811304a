// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/bpf"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/verify"
)

// fetched is a verified image and, when it came from a registry, what was read
// on the way, so that it can be kept in the store without reading it again.
type fetched struct {
	verified *verify.Verified
	memo     *pull.Memo
}

// fetch gets ref from the store or the registry, as --pull says, and verifies
// it. With "missing", a stored copy that is incomplete, damaged or without a
// trusted signature counts as missing.
func (s *session) fetch(ctx context.Context, ref image.Reference, j *judge) (*fetched, error) {
	mode, err := oneOf(s.c, "pull", pullAlways, pullMissing, pullNever)
	if err != nil {
		return nil, err
	}
	store, err := s.store()
	if err != nil {
		return nil, err
	}
	if mode == pullAlways {
		return s.fetchMoved(ctx, store, ref, j)
	}
	v, local := s.fetchFrom(ctx, store, nil, ref, j)
	if local == nil {
		return &fetched{verified: v}, nil
	}
	if mode == pullNever || !worthPulling(local) {
		return nil, fmt.Errorf("local store: %w", local)
	}
	s.log.Debug("asking the registry", "reference", ref.String(), "because", local)
	f, err := s.fetchRemote(ctx, store, ref, j)
	if err != nil && (errors.Is(local, verify.ErrNotTrusted) || errors.Is(local, verify.ErrUndecided)) {
		// A registry that does not answer must not hide the refusal.
		return nil, fmt.Errorf("local store: %w; registry: %w", local, err)
	}
	return f, err
}

// fetchMoved asks the registry what ref means now. If that is what the store has, whole
// and with signatures that suffice, nothing else is asked for, unless the person
// wants to know what is there now.
func (s *session) fetchMoved(ctx context.Context, store *image.Store, ref image.Reference, j *judge) (*fetched, error) {
	cached, err := s.cached(store)
	if err != nil {
		return nil, err
	}
	if !j.fresh {
		unmoved, err := cached.Unmoved(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("pulling %s: %w", ref, err)
		}
		if unmoved != nil {
			v, err := s.fetchFrom(ctx, unmoved, nil, ref, j)
			if err == nil {
				return &fetched{verified: v}, nil
			}
			if !worthPulling(err) {
				return nil, err
			}
			s.log.Debug("asking the registry for more", "reference", ref.String(), "because", err)
		}
	}
	return s.fetchThrough(ctx, store, cached, ref, j)
}

// fetchRemote asks the registry, and takes from the store what has the digests
// it names.
func (s *session) fetchRemote(ctx context.Context, store *image.Store, ref image.Reference, j *judge) (*fetched, error) {
	cached, err := s.cached(store)
	if err != nil {
		return nil, err
	}
	return s.fetchThrough(ctx, store, cached, ref, j)
}

// cached reads from the registry what the store does not have.
func (s *session) cached(store *image.Store) (*pull.Cached, error) {
	registry, err := s.registry(nil)
	if err != nil {
		return nil, err
	}
	source, err := s.attached(registry)
	if err != nil {
		return nil, err
	}
	return &pull.Cached{Local: store, Remote: s.shared(store, source)}, nil
}

func (s *session) fetchThrough(ctx context.Context, store *image.Store, cached *pull.Cached, ref image.Reference, j *judge) (*fetched, error) {
	memo := pull.NewMemo(cached)
	var first image.Source
	if !j.fresh {
		first = store // what signs it there signs it, wherever else it is
	}
	v, err := s.fetchFrom(ctx, memo, first, ref, j)
	if err != nil {
		return nil, s.lookedElsewhere(err)
	}
	return &fetched{verified: v, memo: memo}, nil
}

func worthPulling(err error) bool {
	for _, worth := range []error{image.ErrNotFound, image.ErrDigestMismatch, verify.ErrNotTrusted, verify.ErrUndecided} {
		if errors.Is(err, worth) {
			return true
		}
	}
	return false
}

// fetchFrom fetches an image with as many of its signatures as it takes; those at
// first, if there is such a place, before those at src.
func (s *session) fetchFrom(ctx context.Context, src, first image.Source, ref image.Reference, j *judge) (*verify.Verified, error) {
	img, err := pull.Fetch(ctx, src, ref, pull.Options{
		Platform: s.c.String("platform"), SkipCandidates: j.trust == nil, OnDemand: true, First: first,
	})
	if err != nil {
		return nil, fmt.Errorf("pulling %s: %w", ref, err)
	}
	defer img.Enough()
	return j.check(ctx, img)
}

// withVerified fetches and verifies an image for do, which loads it, and keeps it
// in the local store meanwhile. Whether loading is permitted, and what check (if
// not nil) says, is known before anything is downloaded.
func (s *session) withVerified(
	ref image.Reference, check func(context.Context, *bpf.Manager) error, do func(context.Context, *bpf.Manager, *verify.Verified) error,
) error {
	j, err := s.newJudge(ref)
	if err != nil {
		return err
	}
	manager, err := s.manager()
	if err != nil {
		return err
	}
	if err := manager.Permitted(); err != nil {
		return err
	}
	ctx, cancel := s.deadline()
	defer cancel()
	if check != nil {
		if err := check(ctx, manager); err != nil {
			return err
		}
	}
	f, err := s.fetch(ctx, ref, j)
	if err != nil {
		return err
	}
	for _, note := range j.notes {
		s.term.notice("warning: %s: %s", ref, note)
	}
	defer s.keep(ctx, f, ref)()
	return do(ctx, manager, f.verified)
}

// keep writes what was fetched and verified into the store, beside the loading,
// and returns a function that waits for it. It reads nothing from the network. A
// store that cannot take the image costs a warning, not the run.
func (s *session) keep(ctx context.Context, f *fetched, ref image.Reference) (wait func()) {
	if f.memo == nil {
		return func() {}
	}
	f.memo.Seal()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.copyToStore(ctx, f, ref)
	}()
	return func() { <-done }
}

func (s *session) copyToStore(ctx context.Context, f *fetched, ref image.Reference) {
	store, err := s.store()
	if err == nil {
		note := unaskedNote{store: store, memo: f.memo, needless: true, elsewhere: s.elsewhere()}
		err = note.around(ctx, ref, []string{f.verified.IndexDigest(), f.verified.Digest()}, func() error {
			_, err := image.Copy(ctx, store, ref, f.memo, ref, image.CopyOptions{Referrers: true, Have: f.memo.Has})
			return err
		})
	}
	if err != nil {
		s.term.notice("warning: %s is not kept in the local store: %v", ref, err)
	}
}

// unaskedNote records what of the attachments of an image is not going to be in the
// store, as nobody asked for it: it must not be taken for absent later.
type unaskedNote struct {
	store *image.Store
	memo  *pull.Memo
	// needless: what was left was not needed, where a pull would have taken it.
	needless bool
	// elsewhere: another repository was asked than the image's own, of which an older
	// note stays as it is.
	elsewhere bool
}

// around keeps the image, and writes the note for the digests in ref's repository ("" for
// none). Until it is kept, what an older note says was left may still be missing.
func (n unaskedNote) around(ctx context.Context, ref image.Reference, subjects []string, keep func() error) error {
	if err := n.write(ctx, ref, subjects, true); err != nil {
		return err
	}
	if err := keep(); err != nil {
		return err
	}
	return n.write(ctx, ref, subjects, n.elsewhere)
}

// write replaces an older note, or adds to it. One stays where not even the list was
// asked for.
func (n unaskedNote) write(ctx context.Context, ref image.Reference, subjects []string, add bool) error {
	for _, subject := range subjects {
		if subject == "" {
			continue
		}
		at := ref.WithDigest(subject)
		unasked := n.memo.Unasked(at)
		unasked.Needless = n.needless
		if unasked.Unlisted {
			if _, err := n.store.Manifest(ctx, at); err == nil {
				continue
			}
		}
		if add {
			old, err := n.store.Unasked(ctx, at)
			if err != nil {
				continue // it says that anything may be missing, which is true
			}
			unasked = old.And(unasked)
		}
		if err := n.store.SetUnasked(ctx, at, unasked); err != nil {
			return err
		}
	}
	return nil
}
