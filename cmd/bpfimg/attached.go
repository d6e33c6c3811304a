// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"errors"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/bpfimg/bpfimg/verify"
)

// envRepository names the repository of signatures and attestations, as in cosign.
const envRepository = "COSIGN_REPOSITORY"

// attached is a registry with what is attached to its images where the environment
// says: in the same repository, or in another one.
func (s *session) attached(registry *image.Registry) (sign.Repository, error) {
	repository, _ := s.term.lookup(envRepository)
	if repository == "" {
		return registry, nil
	}
	elsewhere, err := image.NewAttachedElsewhere(registry, repository)
	if err != nil {
		return nil, usageError{fmt.Errorf("%s: %w", envRepository, err)}
	}
	return elsewhere, nil
}

// elsewhere says that what is attached to images is looked for in another repository
// than theirs.
func (s *session) elsewhere() bool {
	repository, _ := s.term.lookup(envRepository)
	return repository != ""
}

// attachedName is the repository that has what is attached to ref.
func attachedName(registry sign.Repository, ref image.Reference) string {
	if elsewhere, ok := registry.(*image.AttachedElsewhere); ok {
		return elsewhere.Place(ref).Name()
	}
	return ref.Name()
}

// elsewhereError is a refusal of an image whose signatures were looked for in another
// repository alone.
type elsewhereError struct {
	err        error
	repository string
}

func (e elsewhereError) Error() string { return e.err.Error() }
func (e elsewhereError) Unwrap() error { return e.err }

// lookedElsewhere adds to a refusal in which repository signatures were looked for, if
// that is not the image's own.
func (s *session) lookedElsewhere(err error) error {
	if repository, _ := s.term.lookup(envRepository); repository != "" && errors.Is(err, verify.ErrNotTrusted) {
		return elsewhereError{err, repository}
	}
	return err
}
