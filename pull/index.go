// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"github.com/bpfimg/bpfimg/schemas"
)

// PlatformOfIndex is one image of an index.
type PlatformOfIndex struct {
	// Platform is "os/arch[/variant]"; foreign text.
	Platform string `json:"platform"`
	// Digest of the image's manifest, "sha256:<hex>".
	Digest string `json:"digest"`
}

// Platforms lists the images of the index that i is in, in its order, without
// entries that name no platform or are attestations. Nil if i is in no index.
func (i *Image) Platforms() []PlatformOfIndex {
	if !isIndex(i.Root.Descriptor.MediaType) {
		return nil
	}
	entries, err := parseIndex(i.Root)
	if err != nil {
		return nil // Fetch has read it
	}
	list := []PlatformOfIndex{}
	for _, e := range entries {
		if e.Platform == nil || !isImage(e.MediaType) {
			continue
		}
		p := schemas.NewPlatform(e.Platform.OS, e.Platform.Architecture, e.Platform.Variant)
		if p.OS != "unknown" && p.OS != "" {
			list = append(list, PlatformOfIndex{Platform: p.String(), Digest: e.Digest.String()})
		}
	}
	return list
}

// Platform is what the index calls the image that was chosen, "" if it is in none
// or has no platform there.
func (i *Image) Platform() string {
	name := ""
	for _, p := range i.Platforms() {
		if p.Digest != i.Manifest.Descriptor.Digest.String() {
			continue
		}
		if p.Platform == i.asked.String() {
			return p.Platform
		}
		if name == "" {
			name = p.Platform // listed for several, and taken for want of others
		}
	}
	return name
}
