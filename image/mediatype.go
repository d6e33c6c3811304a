// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"encoding/json"
	"fmt"
	"mime"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's names of the same two documents (distribution, manifest schema 2).
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// manifestKind tells the two documents apart that a manifest can be.
type manifestKind int

const (
	kindUnknown manifestKind = iota
	kindImage
	kindIndex
)

// manifestTypes are the media types that are read and written, in the order
// they are asked for.
var manifestTypes = []struct {
	mediaType string
	kind      manifestKind
}{
	{ocispec.MediaTypeImageManifest, kindImage},
	{ocispec.MediaTypeImageIndex, kindIndex},
	{dockerManifest, kindImage},
	{dockerList, kindIndex},
}

func kindOf(mediaType string) manifestKind {
	for _, t := range manifestTypes {
		if t.mediaType == mediaType {
			return t.kind
		}
	}
	return kindUnknown
}

func acceptManifests() string {
	var names []string
	for _, t := range manifestTypes {
		names = append(names, t.mediaType)
	}
	return strings.Join(names, ", ")
}

// manifestHead is what is read of a manifest whatever its kind.
type manifestHead struct {
	MediaType    string              `json:"mediaType"`
	ArtifactType string              `json:"artifactType"`
	Config       *ocispec.Descriptor `json:"config"`
	Manifests    []json.RawMessage   `json:"manifests"`
	Subject      *ocispec.Descriptor `json:"subject"`
	Annotations  map[string]string   `json:"annotations"`
}

// manifestLinks is what an image or index needs to be whole.
type manifestLinks struct {
	Config    ocispec.Descriptor   `json:"config"`
	Layers    []ocispec.Descriptor `json:"layers"`
	Manifests []ocispec.Descriptor `json:"manifests"`
}

// artifactKind is the artifactType a referrers list shows: that of the manifest
// or, without one, its config's media type (OCI distribution spec, "Listing
// Referrers").
func (h manifestHead) artifactKind() string {
	if h.ArtifactType == "" && h.Config != nil {
		return h.Config.MediaType
	}
	return h.ArtifactType
}

// entry is what a list of referrers says of m, whose head this is.
func (h manifestHead) entry(m Manifest) ocispec.Descriptor {
	entry := m.Descriptor
	entry.ArtifactType, entry.Annotations = h.artifactKind(), h.Annotations
	return entry
}

// formatError is a manifest that is not what it should be: the fault of whoever
// wrote it, not of the one that sent it.
type formatError struct{ err error }

func (e *formatError) Error() string { return e.err.Error() }
func (e *formatError) Unwrap() error { return e.err }

func malformed(format string, args ...any) error {
	return &formatError{fmt.Errorf(format, args...)}
}

// newManifest names data, whose sender calls it declared (a Content-Type; may
// be empty or vague). The two names of the type, outside and inside, must
// agree: otherwise two readers of one digest could see two documents. The digest is
// made by the algorithm of want, which may be "" and is not compared.
func newManifest(data []byte, declared string, want digest.Digest) (Manifest, error) {
	head, err := parseHead(data)
	if err != nil {
		return Manifest{}, err
	}
	mediaType, _, err := mime.ParseMediaType(declared)
	if err != nil || !strings.HasPrefix(mediaType, "application/vnd.") {
		mediaType = head.MediaType
	}
	if mediaType == "" {
		mediaType = guessType(head)
	}
	kind := kindOf(mediaType)
	switch {
	case head.MediaType != "" && head.MediaType != mediaType:
		return Manifest{}, malformed("the manifest says its type is %q, but it was sent as %q", head.MediaType, mediaType)
	case kind == kindUnknown:
		return Manifest{}, malformed("manifests of type %q are not supported", mediaType)
	case (kind == kindIndex) == (head.Config != nil):
		return Manifest{}, malformed("the manifest's content does not fit its type %q", mediaType)
	}
	return Manifest{
		Descriptor: ocispec.Descriptor{
			MediaType:    mediaType,
			Digest:       digestLike(want, data),
			Size:         int64(len(data)),
			ArtifactType: head.ArtifactType,
		},
		Bytes: data,
	}, nil
}

func parseHead(data []byte) (manifestHead, error) {
	var head manifestHead
	if len(data) > MaxManifest {
		return head, fmt.Errorf("the manifest is %d bytes, at most %d are allowed: %w", len(data), MaxManifest, ErrTooLarge)
	}
	if err := boundedjson.Unmarshal(data, &head); err != nil {
		return head, malformed("the manifest is not a JSON document of the OCI image format: %w", err)
	}
	return head, nil
}

// guessType is the OCI type of a manifest that carries none, which the image
// specification allows.
func guessType(head manifestHead) string {
	if head.Config == nil && head.Manifests != nil {
		return ocispec.MediaTypeImageIndex
	}
	return ocispec.MediaTypeImageManifest
}
