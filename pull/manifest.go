// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"encoding/json"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/boundedjson"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's names of the same documents (distribution, manifest schema 2).
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
)

func isIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == dockerList
}

func isImage(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == dockerManifest
}

// parseManifest reads an image manifest or a referrer's.
func parseManifest(m image.Manifest) (ocispec.Manifest, error) {
	var parsed ocispec.Manifest
	if !isImage(m.Descriptor.MediaType) {
		return parsed, bad("%q is not the media type of an image manifest", m.Descriptor.MediaType)
	}
	members, err := parseDocument(m, &parsed)
	if err != nil {
		return parsed, err
	}
	if _, ok := members["config"]; !ok || members["manifests"] != nil {
		return parsed, bad("the manifest is not an image manifest, or an index at the same time")
	}
	for _, d := range append([]ocispec.Descriptor{parsed.Config}, parsed.Layers...) {
		if err := checkDescriptor(d); err != nil {
			return parsed, err
		}
	}
	return parsed, nil
}

// parseIndex returns the entries of an index.
func parseIndex(m image.Manifest) ([]ocispec.Descriptor, error) {
	var parsed ocispec.Index
	members, err := parseDocument(m, &parsed)
	if err != nil {
		return nil, err
	}
	if members["config"] != nil || members["layers"] != nil || members["manifests"] == nil {
		return nil, bad("the index is not an index, or an image manifest at the same time")
	}
	if len(parsed.Manifests) > maxIndexEntries {
		return nil, bad("the index has %d entries, at most %d are read", len(parsed.Manifests), maxIndexEntries)
	}
	for _, d := range parsed.Manifests {
		if err := checkDescriptor(d); err != nil {
			return nil, err
		}
	}
	return parsed.Manifests, nil
}

// parseDocument reads a manifest of either kind into v and returns its members
// as they are. Two readers must not see two documents in it (CVE-2021-41190):
// what it calls itself must be what it was sent as.
func parseDocument(m image.Manifest, v any) (map[string]json.RawMessage, error) {
	if err := checkJSON(m.Bytes); err != nil {
		return nil, bad("the manifest: %w", err)
	}
	var members map[string]json.RawMessage
	if err := boundedjson.Unmarshal(m.Bytes, &members); err != nil {
		return nil, bad("the manifest is not a JSON object: %w", err)
	}
	if err := boundedjson.Unmarshal(m.Bytes, v); err != nil {
		return nil, bad("the manifest is not one of the OCI format: %w", err)
	}
	var head struct {
		SchemaVersion int    `json:"schemaVersion"`
		MediaType     string `json:"mediaType"`
	}
	if err := boundedjson.Unmarshal(m.Bytes, &head); err != nil {
		return nil, bad("the manifest is not one of the OCI format: %w", err)
	}
	if head.SchemaVersion != 2 {
		return nil, bad("the manifest has schema version %d, only 2 is read", head.SchemaVersion)
	}
	if head.MediaType != "" && head.MediaType != m.Descriptor.MediaType {
		return nil, bad("the manifest says it is a %q, but it was sent as a %q", head.MediaType, m.Descriptor.MediaType)
	}
	return members, nil
}

func checkDescriptor(d ocispec.Descriptor) error {
	if err := image.CheckDigest(d.Digest); err != nil {
		return bad("in the manifest: %w", err)
	}
	if d.Size < 0 {
		return bad("the size of %s in the manifest is negative", d.Digest)
	}
	return nil
}

// layerName counts as people do, from one.
func layerName(i int) string { return fmt.Sprintf("layer %d", i+1) }
