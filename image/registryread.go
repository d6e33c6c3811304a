// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// headerDigest is the digest of the manifest in a response, by the registry's
// account (OCI distribution spec, "Pulling manifests").
const headerDigest = "Docker-Content-Digest"

// progressStep is how many bytes pass between two progress events.
const progressStep = 256 << 10

// Manifest implements [Source].
func (r *Registry) Manifest(ctx context.Context, ref Reference) (Manifest, error) {
	return r.readManifest(ctx, ref, nil)
}

// ManifestUnless implements [Conditional]. It asks with HEAD, which is answered with
// the digest by every registry that clients of docker use, and which Docker Hub does
// not count as a pull. Any answer that leaves a doubt is followed by a GET.
func (r *Registry) ManifestUnless(ctx context.Context, ref Reference, known Manifest) (Manifest, error) {
	return r.readManifest(ctx, ref, &known)
}

// readManifest reads what ref names, unless that is known, which may be nil.
func (r *Registry) readManifest(ctx context.Context, ref Reference, known *Manifest) (Manifest, error) {
	if err := ref.check(); err != nil {
		return Manifest{}, err
	}
	if ref.digest != "" {
		known = nil // a digest cannot move
	}
	op, q := operation{"fetching manifest", ref}, byDigest
	if ref.digest == "" {
		q = byName
	}
	var (
		m    Manifest
		none bool
	)
	err := r.read(ctx, op, q, effort{bodyLimit: manifestLimit(ctx)}, func(ctx context.Context, s *session) (err error) {
		if known != nil && s.stillNames(ctx, ref, *known) {
			m = *known
			return nil
		}
		m, err = s.manifest(ctx, ref)
		if subject, ok := taggedSubject(ref); ok && s.hidden(ctx, subject, err) {
			if s.mirror {
				return errNoneHere
			}
			none = true
			return nil
		}
		return err
	})
	if none {
		return Manifest{}, fmt.Errorf("%s %s: %w: the registry denies it, as some do with what is not there", op.name, ref, ErrNotFound)
	}
	if q == byName && IsAttachmentTag(ref.tag) {
		if none := r.forgiven(op, err); none != nil {
			return Manifest{}, none
		}
	}
	return m, err
}

// stillNames asks whether ref's tag names known. Any doubt is a no. All types are
// accepted, as for reading: of an index a registry may otherwise answer with one of
// its images.
func (s *session) stillNames(ctx context.Context, ref Reference, known Manifest) bool {
	header := http.Header{"Accept": {acceptManifests()}}
	resp, err := s.send(ctx, http.MethodHead, s.url("manifests/"+ref.tag), header, nil)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && resp.Header.Get(headerDigest) == known.Descriptor.Digest.String()
}

// manifest fetches by digest or else by tag, and hashes what it gets.
func (s *session) manifest(ctx context.Context, ref Reference) (Manifest, error) {
	name := ref.tag
	if ref.digest != "" {
		name = ref.digest
	}
	resp, err := s.send(ctx, http.MethodGet, s.url("manifests/"+name), http.Header{"Accept": {acceptManifests()}}, nil)
	if err != nil {
		return Manifest{}, err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return Manifest{}, err
	}
	data, err := readAtMost(resp, manifestLimit(ctx))
	if err != nil {
		return Manifest{}, err
	}
	// A digest names the bytes, so it is compared before they are parsed. For a
	// tag the registry's own account of them must at least agree with them.
	want := ref.digest
	if want == "" {
		want = resp.Header.Get(headerDigest)
	}
	if got := digestLike(digest.Digest(want), data); checkDigest(want) == nil && got.String() != want {
		return Manifest{}, fmt.Errorf("the registry sent %s instead of %s: %w", got, want, ErrDigestMismatch)
	}
	return newManifest(data, resp.Header.Get("Content-Type"), digest.Digest(want))
}

// readDocument reads a JSON document of at most [MaxManifest] bytes; the guard
// enforces the same limit for senders that do not announce a length.
func readDocument(resp *http.Response) ([]byte, error) { return readAtMost(resp, MaxManifest) }

func readAtMost(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, fmt.Errorf("the registry announces %d bytes, at most %d are allowed: %w", resp.ContentLength, limit, ErrTooLarge)
	}
	data, err := readParts(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the registry's answer: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("the registry's answer is over %d bytes: %w", limit, ErrTooLarge)
	}
	return data, nil
}

// readParts is [io.ReadAll], which leaves behind several times what it returns: here
// nothing is copied but once, at the end.
func readParts(r io.Reader) ([]byte, error) {
	const first, most = 4 << 10, 256 << 10 // bytes
	var parts [][]byte
	part := make([]byte, 0, first)
	for {
		n, err := r.Read(part[len(part):cap(part)])
		part = part[:len(part)+n]
		switch {
		case errors.Is(err, io.EOF):
			return slices.Concat(append(parts, part)...), nil
		case err != nil:
			return nil, err
		case len(part) == cap(part):
			parts, part = append(parts, part), make([]byte, 0, min(2*cap(part), most))
		}
	}
}

// Blob implements [Source].
func (r *Registry) Blob(ctx context.Context, ref Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	at := ref.WithDigest(desc.Digest.String())
	if err := checkDescriptor(desc, limit); err != nil {
		return nil, fmt.Errorf("fetching blob of %s: %w", ref, err)
	}
	d := &download{desc: desc, transfers: r.transfers, progress: r.progress}
	work := effort{bodyLimit: max(desc.Size, MaxManifest), moved: d.moved}
	err := r.read(ctx, operation{"fetching blob", at}, byDigest, work, func(ctx context.Context, s *session) error {
		return d.fetch(ctx, s)
	})
	if err != nil {
		return nil, err
	}
	r.progress.report(desc, desc.Size, EventDone)
	return d.buf.Bytes(), nil
}
