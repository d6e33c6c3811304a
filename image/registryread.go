// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

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
	if err := ref.check(); err != nil {
		return Manifest{}, err
	}
	op, q := operation{"fetching manifest", ref}, byDigest
	if ref.digest == "" {
		q = byName
	}
	var m Manifest
	err := r.read(ctx, op, q, MaxManifest, func(ctx context.Context, s *session) (err error) {
		m, err = s.manifest(ctx, ref)
		return err
	})
	if q == byName && IsAttachmentTag(ref.tag) {
		if none := r.forgiven(op, err); none != nil {
			return Manifest{}, none
		}
	}
	return m, err
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
	data, err := readDocument(resp)
	if err != nil {
		return Manifest{}, err
	}
	// A digest names the bytes, so it is compared before they are parsed. For a
	// tag the registry's own account of them must at least agree with them.
	want := ref.digest
	if want == "" {
		want = resp.Header.Get(headerDigest)
	}
	if checkDigest(want) == nil && digest.FromBytes(data).String() != want {
		return Manifest{}, fmt.Errorf("the registry sent %s instead of %s: %w", digest.FromBytes(data), want, ErrDigestMismatch)
	}
	return newManifest(data, resp.Header.Get("Content-Type"))
}

// readDocument reads a JSON document of at most [MaxManifest] bytes; the guard
// enforces the same limit for senders that do not announce a length.
func readDocument(resp *http.Response) ([]byte, error) {
	if resp.ContentLength > MaxManifest {
		return nil, fmt.Errorf("the registry announces %d bytes, at most %d are allowed: %w", resp.ContentLength, MaxManifest, ErrTooLarge)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, MaxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("reading the registry's answer: %w", err)
	}
	if len(data) > MaxManifest {
		return nil, fmt.Errorf("the registry's answer is over %d bytes: %w", MaxManifest, ErrTooLarge)
	}
	return data, nil
}

// Blob implements [Source].
func (r *Registry) Blob(ctx context.Context, ref Reference, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	at := ref.WithDigest(desc.Digest.String())
	if err := checkDescriptor(desc, limit); err != nil {
		return nil, fmt.Errorf("fetching blob of %s: %w", ref, err)
	}
	var data []byte
	err := r.read(ctx, operation{"fetching blob", at}, byDigest, max(desc.Size, MaxManifest), func(ctx context.Context, s *session) (err error) {
		data, err = s.blob(ctx, desc, r.progress)
		return err
	})
	if err != nil {
		return nil, err
	}
	r.progress.report(desc, desc.Size, EventDone)
	return data, nil
}

func (s *session) blob(ctx context.Context, desc ocispec.Descriptor, progress reporter) ([]byte, error) {
	resp, err := s.send(ctx, http.MethodGet, s.url("blobs/"+desc.Digest.String()), nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if err := transport.CheckError(resp, http.StatusOK); err != nil {
		return nil, err
	}
	switch {
	case resp.ContentLength > desc.Size:
		return nil, fmt.Errorf("the registry announces %d bytes instead of %d: %w", resp.ContentLength, desc.Size, ErrTooLarge)
	case resp.ContentLength >= 0 && resp.ContentLength < desc.Size:
		return nil, fmt.Errorf("the registry announces %d bytes instead of %d: %w", resp.ContentLength, desc.Size, ErrDigestMismatch)
	}
	data, err := readExactly(resp, desc, progress)
	if err != nil {
		return nil, err
	}
	return data, checkContent(data, desc)
}

// readExactly reads desc.Size bytes and makes sure that the body ends there. The
// buffer grows with what arrives, not with what a descriptor promises.
func readExactly(resp *http.Response, desc ocispec.Descriptor, progress reporter) ([]byte, error) {
	var buf bytes.Buffer
	if resp.ContentLength == desc.Size {
		buf.Grow(int(desc.Size) + bytes.MinRead)
	}
	body := io.LimitReader(resp.Body, desc.Size+1)
	for {
		_, err := io.CopyN(&buf, body, progressStep)
		progress.report(desc, min(int64(buf.Len()), desc.Size), EventTransfer)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("after %d of %d bytes: %w", buf.Len(), desc.Size, err)
		}
	}
	switch size := int64(buf.Len()); {
	case size < desc.Size:
		return nil, fmt.Errorf("the registry sent %d of %d bytes: %w", size, desc.Size, io.ErrUnexpectedEOF)
	case size > desc.Size:
		return nil, fmt.Errorf("the registry sent more than %d bytes: %w", desc.Size, ErrTooLarge)
	}
	return buf.Bytes(), nil
}
