// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"github.com/bpfimg/bpfimg/image"
)

// signBuilt signs a built and pushed image, and returns the digest of the
// signature.
func (s *session) signBuilt(ref image.Reference) (string, error) {
	ctx, cancel := s.deadline()
	defer cancel()
	w, err := s.newSigning(ctx)
	if err != nil {
		return "", err
	}
	signed, err := w.sign(ctx, ref, nil)
	return signed.Signature.Digest.String(), err
}
