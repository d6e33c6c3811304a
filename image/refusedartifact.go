// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A registry found fault with a manifest that is no mere container image, which may be
// why: some keep a list of the types that a config or an artifact may have, and not all
// say so. Another form of the same may get in.
var (
	// ErrArtifactRefused: it is an image or artifact.
	ErrArtifactRefused = errors.New("the registry may not take artifacts")
	// ErrSignatureRefused: it is a signature with a subject.
	ErrSignatureRefused = errors.New("the registry may not take signatures of this form")
	// ErrReferrerRefused: it is an attestation, or something else with a subject.
	ErrReferrerRefused = errors.New("the registry may not take attachments of this kind")
)

// dockerConfig is docker's name of the image config.
const dockerConfig = "application/vnd.docker.container.image.v1+json"

// refusedType adds [ErrArtifactRefused] or one beside it to the error of pushing a
// manifest, where the types in it can be the reason.
func refusedType(head manifestHead, err error) error {
	var answer *RegistryError
	if !errors.As(err, &answer) || refusedWrite(err) != nil || !answer.complaint.mayBeType() {
		return err
	}
	types := ""
	switch {
	case head.Config == nil:
		return err
	case head.Config.MediaType != ocispec.MediaTypeImageConfig && head.Config.MediaType != dockerConfig:
		types = fmt.Sprintf("its config is a %q", cut(head.Config.MediaType))
	case head.ArtifactType != "":
		types = fmt.Sprintf("its artifactType is %q", cut(head.ArtifactType))
	default:
		return err
	}
	return fmt.Errorf("%w; %s: %w", err, types, refusedKind(head))
}

func refusedKind(head manifestHead) error {
	if head.Subject == nil {
		return ErrArtifactRefused
	}
	if kind, _ := kindOfNode(head, nil); kind == KindSignature {
		return ErrSignatureRefused
	}
	return ErrReferrerRefused
}

// mayBeType: GitLab answers 400 (MANIFEST_INVALID, "unknown media type: …"), Quay 415,
// distribution with classes 403 (DENIED, "unknown manifest class for …"), ECR 405
// (UNSUPPORTED, "Invalid JSON syntax"). A 403 that says nothing is about the account.
func (c complaint) mayBeType() bool {
	if c.code("BLOB_UNKNOWN", "BLOB_UPLOAD_INVALID", "DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN", "NAME_INVALID", "SIZE_INVALID", "TAG_INVALID") {
		return false // it has another reason
	}
	switch c.status {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	case http.StatusForbidden:
		return c.saysType()
	case http.StatusMethodNotAllowed:
		return c.code("UNSUPPORTED") || c.saysType()
	}
	return false
}

func (c complaint) saysType() bool {
	return c.says("manifest class", "media type", "mediatype", "artifact type", "artifacttype")
}
