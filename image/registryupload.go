// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// PutBlob implements [Sink].
func (r *Registry) PutBlob(ctx context.Context, ref Reference, desc ocispec.Descriptor, data []byte, mountFrom string) error {
	if err := checkContent(data, desc); err != nil {
		return fmt.Errorf("pushing blob of %s: %w", ref, err)
	}
	return r.putBlob(ctx, ref, desc, mountFrom, func(context.Context) ([]byte, error) { return data, nil })
}

// blobReader gets a blob from the other side of a copy.
type blobReader func(ctx context.Context) ([]byte, error)

// putBlob implements [lazySink]: data is asked for only when the registry has
// the blob neither here nor at mountFrom.
func (r *Registry) putBlob(ctx context.Context, ref Reference, desc ocispec.Descriptor, mountFrom string, data blobReader) error {
	at := ref.WithDigest(desc.Digest.String())
	if err := checkDescriptor(desc, maxUpload); err != nil {
		return fmt.Errorf("pushing blob of %s: %w", ref, err)
	}
	if mountFrom == ref.repository {
		mountFrom = ""
	}
	u := &upload{desc: desc, mountFrom: r.mountable(ref, mountFrom), read: data, transfers: r.transfers, progress: r.progress}
	r.mu.Lock()
	u.doubted = r.doubted[ref.Name()]
	r.mu.Unlock()
	work := effort{bodyLimit: MaxManifest, moved: u.moved}
	err := r.write(ctx, operation{"pushing blob", at}, work, func(ctx context.Context, s *session) error {
		return u.send(ctx, s)
	})
	if err != nil {
		return err
	}
	if u.opened {
		r.progress.report(desc, desc.Size, EventDone)
	} else {
		r.progress.report(desc, desc.Size, EventExists)
	}
	return nil
}

// hasBlob looks for a blob in the repository.
func (s *session) hasBlob(ctx context.Context, desc ocispec.Descriptor) (bool, error) {
	resp, err := s.send(ctx, http.MethodHead, s.url("blobs/"+desc.Digest.String()), nil, nil)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK, transport.CheckError(resp, http.StatusOK, http.StatusNotFound)
}

// startUpload gets the place to upload a blob to, or has the registry take it over
// from another repository ("" for none), if that has it (201). The body
// of the answer is closed.
func (s *session) startUpload(ctx context.Context, desc ocispec.Descriptor, mountFrom string) (*http.Response, error) {
	at := s.url("blobs/uploads/")
	query := url.Values{}
	if mountFrom != "" {
		query = url.Values{"mount": {desc.Digest.String()}, "from": {mountFrom}}
	}
	if a := desc.Digest.Algorithm(); a != algorithms[0] {
		query.Set("digest-algorithm", a.String()) // what the registry is to hash by (OCI distribution spec, "Pushing a blob in chunks")
	}
	at.RawQuery = query.Encode()
	resp, err := s.send(ctx, http.MethodPost, at, nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return resp, checkDone(resp)
}
