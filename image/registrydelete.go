// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// Why a registry deletes nothing although the name is there. The error that wraps
// one of them has the registry's own words.
var (
	// ErrNoDelete: it does not delete images, or not by this API.
	ErrNoDelete = errors.New("the registry does not delete images through this API")
	// ErrNoTagDelete: it was asked to take one tag away, which many registries
	// cannot; some of them delete a digest with all its tags.
	ErrNoTagDelete = errors.New("the registry does not take single tags away")
)

// noDelete are the answers of registries that do not delete: the first two are those
// of the specification, the third is one of old ones.
var noDelete = []int{http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented}

// Delete takes ref away from its registry. A tag goes alone: it is never resolved to
// its digest, since a registry that deletes a digest deletes all tags of that. Only
// a reference with a digest and no tag deletes the manifest itself, with every tag
// it has. Of a reference with both, the tag goes if it still names the digest;
// otherwise it is [ErrDigestMismatch] and nothing is deleted.
//
// What is attached to an image is the registry's to clean up. [ErrNotFound] if there
// is no such tag or manifest; see [ErrNoDelete] and [ErrNoTagDelete].
func (r *Registry) Delete(ctx context.Context, ref Reference) error {
	if err := ref.check(); err != nil {
		return err
	}
	if ref.tag != "" && ref.digest != "" {
		if err := r.stillNames(ctx, ref); err != nil {
			return err
		}
	}
	name := ref.tag
	if name == "" {
		name = ref.digest
	}
	asked := false
	err := r.write(ctx, operation{"deleting", ref}, effort{bodyLimit: MaxManifest}, func(ctx context.Context, s *session) error {
		again := asked
		asked = true
		return s.delete(ctx, name, again)
	})
	return refusedDelete(ref, err)
}

// stillNames compares a tag with the digest beside it, by the origin's account.
func (r *Registry) stillNames(ctx context.Context, ref Reference) error {
	m, err := r.WithoutMirrors().Manifest(ctx, ref.WithTag(ref.tag))
	if err != nil {
		return err
	}
	if got := m.Descriptor.Digest.String(); got != ref.digest {
		return fmt.Errorf("deleting %s: the tag names %s by now, so that it stays: %w", ref, got, ErrDigestMismatch)
	}
	return nil
}

// delete makes one attempt. again: an attempt before may have done it already,
// whose answer was lost.
func (s *session) delete(ctx context.Context, name string, again bool) error {
	resp, err := s.send(ctx, http.MethodDelete, s.url("manifests/"+name), nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if again && resp.StatusCode == http.StatusNotFound {
		return nil
	}
	return transport.CheckError(resp, http.StatusAccepted, http.StatusOK, http.StatusNoContent)
}

func refusedDelete(ref Reference, err error) error {
	var answer *RegistryError
	if !errors.As(err, &answer) || !slices.Contains(noDelete, answer.Status) {
		return err
	}
	if ref.tag != "" {
		return fmt.Errorf("%w: %w", ErrNoTagDelete, err)
	}
	return fmt.Errorf("%w: %w", ErrNoDelete, err)
}
