// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"net/http"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrArtifactRefused: the registry found fault with a manifest that is no
// container image. Some registries take configs of images only, and do not say
// so.
var ErrArtifactRefused = errors.New("the registry may not take artifacts")

// dockerConfig is docker's name of the image config.
const dockerConfig = "application/vnd.docker.container.image.v1+json"

// refusedArtifact adds [ErrArtifactRefused] to the error of pushing a manifest,
// where that can be the reason: some registries, GitLab's among them, keep a list
// of the media types that a config may have.
func refusedArtifact(head manifestHead, err error) error {
	var answer *RegistryError
	if !errors.As(err, &answer) || head.Config == nil || head.Subject != nil {
		return err
	}
	switch head.Config.MediaType {
	case ocispec.MediaTypeImageConfig, dockerConfig:
		return err
	}
	switch answer.Status {
	case http.StatusBadRequest, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return fmt.Errorf("%w; its config is a %q: %w", err, cut(head.Config.MediaType), ErrArtifactRefused)
	}
	return err
}
