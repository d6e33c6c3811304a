// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/image/hosts"
)

// question says who may answer what is read.
type question int

const (
	// byDigest: whoever answers, the digest proves the answer.
	byDigest question = iota
	// byName: the answer may differ from one host to the next.
	byName
	// ofOrigin: only the registry itself knows.
	ofOrigin
)

// mirrorRest is how long a mirror that did not answer, or wants other
// credentials, is left alone.
const mirrorRest = time.Minute

// mirrorPatience bounds the wait for a mirror's first byte: behind it is another
// host that can be asked.
const mirrorPatience = 15 * time.Second

// errNoneHere: a mirror has no referrers of a digest, which may mean that it only
// keeps images.
var errNoneHere = fmt.Errorf("no referrers: %w", ErrNotFound)

// placeDown is a mirror that is left alone for a while.
type placeDown struct {
	until time.Time
	err   error
}

// write runs f with a session at the registry itself.
func (r *Registry) write(ctx context.Context, op operation, work effort, f func(context.Context, *session) error) error {
	route, err := r.hosts.Route(op.ref.registry, op.ref.repository)
	if err != nil {
		return fmt.Errorf("%s %s: %w", op.name, op.ref, err)
	}
	return r.at(ctx, op, sessionKey{place: route.Origin, write: true}, r.retry, work, f)
}

// read runs f with a session at each place that may have what op is about, mirrors
// first, until one has it. f may run more than once, and must not keep what an
// earlier run got. A mirror gets one attempt: the next place is the second.
func (r *Registry) read(ctx context.Context, op operation, q question, work effort, f func(context.Context, *session) error) error {
	route, err := r.hosts.Route(op.ref.registry, op.ref.repository)
	if err != nil {
		return fmt.Errorf("%s %s: %w", op.name, op.ref, err)
	}
	var tried []error
	for _, m := range r.mirrorsFor(route, q) {
		err := r.ask(ctx, op, m.Place, work, f)
		if err == nil || ctx.Err() != nil {
			return err
		}
		tried = append(tried, err)
	}
	err = r.at(ctx, op, sessionKey{place: route.Origin}, r.retry, work, f)
	if err == nil || len(tried) == 0 {
		return err
	}
	return &MirrorsError{Mirrors: tried, Err: err}
}

// mirrorsFor are the mirrors that may answer q.
func (r *Registry) mirrorsFor(route hosts.Route, q question) []hosts.Mirror {
	if r.noMirrors || q == ofOrigin {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(route.Mirrors), func(m hosts.Mirror) bool { return m.DigestsOnly && q != byDigest })
}

// ask asks a mirror once, unless it is being left alone.
func (r *Registry) ask(ctx context.Context, op operation, at hosts.Place, work effort, f func(context.Context, *session) error) error {
	r.mu.Lock()
	down, known := r.down[at]
	r.mu.Unlock()
	if known && time.Now().Before(down.until) {
		return down.err
	}
	once := r.retry
	once.Attempts = 1
	err := r.at(ctx, op, sessionKey{place: at, mirror: true}, once, work, f)
	if err == nil || ctx.Err() != nil {
		return err
	}
	level := r.log.Debug
	switch {
	case errors.Is(err, ErrDigestMismatch):
		level = r.log.Warn
	case !answered(err) || errors.Is(err, ErrUnauthorized):
		level = r.log.Warn
		r.mu.Lock()
		r.down[at] = placeDown{time.Now().Add(mirrorRest), err}
		r.mu.Unlock()
	}
	level("a mirror did not help, the next place is asked", "mirror", at.Name(), "because", err)
	return err
}

// at runs f with a session at one place. The error names the reference that was
// asked for, unless it is of a mirror.
func (r *Registry) at(
	ctx context.Context, op operation, key sessionKey, retry Retry, work effort, f func(context.Context, *session) error,
) error {
	moved := op
	moved.ref.registry, moved.ref.repository = key.place.Registry, key.place.Repository
	err := retry.attempt(ctx, moved, work, func(ctx context.Context) error {
		s, err := r.session(ctx, key)
		if err != nil {
			return err
		}
		return f(ctx, s)
	})
	var failed *RegistryError
	if errors.As(err, &failed) && failed.Reference == moved.ref && !key.mirror {
		failed.Reference = op.ref
	}
	return err
}

// mountable is the repository to mount a blob from: mountFrom, of ref's registry,
// where it really is; "" if that is another host.
func (r *Registry) mountable(ref Reference, mountFrom string) string {
	if mountFrom == "" {
		return ""
	}
	to, toErr := r.hosts.Route(ref.registry, ref.repository)
	from, fromErr := r.hosts.Route(ref.registry, mountFrom)
	if toErr != nil || fromErr != nil || to.Origin.Host() != from.Origin.Host() {
		return ""
	}
	return from.Origin.Repository
}

// answered says that a host did answer, if not with what was asked for: it works.
func answered(err error) bool {
	var answer *RegistryError
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrDigestMismatch) || errors.Is(err, ErrTooLarge) {
		return true
	}
	return !errors.As(err, &answer) ||
		answer.Status != 0 && answer.Status < http.StatusInternalServerError && answer.Status != http.StatusTooManyRequests
}

// MirrorsError is a read that failed at every place: at mirrors, and then at the
// registry itself, whose error counts. It unwraps to that.
type MirrorsError struct {
	// Mirrors has the error of each mirror, in the order they were asked.
	Mirrors []error
	// Err is the registry's own.
	Err error
}

// Error lists each place and why it failed.
func (e *MirrorsError) Error() string {
	all := make([]string, 0, len(e.Mirrors))
	for _, err := range e.Mirrors {
		all = append(all, err.Error())
	}
	return fmt.Sprintf("%v; mirrors were asked before: %s", e.Err, strings.Join(all, "; "))
}

// Unwrap returns Err.
func (e *MirrorsError) Unwrap() error { return e.Err }

// forgiven decides about what may be attached to an image when a mirror has
// nothing and the registry itself does not answer: then there is nothing, with a
// warning. Nodes go on with the mirror while the registry is down, and hiding a
// signature only ever leads to a refusal.
func (r *Registry) forgiven(op operation, err error) error {
	var all *MirrorsError
	if !errors.As(err, &all) || answered(all.Err) {
		return nil
	}
	for _, mirrored := range all.Mirrors {
		if errors.Is(mirrored, ErrNotFound) {
			r.log.Warn("a mirror has nothing attached to the image, and the registry itself does not answer", "reference", op.ref.String(), "because", all.Err)
			return mirrored
		}
	}
	return nil
}

// WithoutMirrors is a client that reads from the registry itself only: for what is
// about to be changed or signed there, a mirror's answer may be an old one. It
// shares nothing with r but the options and the limit on transfers.
func (r *Registry) WithoutMirrors() *Registry {
	if r.noMirrors {
		return r
	}
	direct := newRegistry(r.opts)
	direct.noMirrors, direct.transfers = true, r.transfers
	return direct
}
