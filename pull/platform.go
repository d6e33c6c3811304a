// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"fmt"
	"runtime"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// parsePlatform reads what a person asks for; "" is this machine, whose BPF
// programs run on Linux.
func parsePlatform(s string) (schemas.Platform, error) {
	if s == "" {
		return schemas.NewPlatform("linux", runtime.GOARCH, ""), nil
	}
	return schemas.ParsePlatform(s)
}

// choose returns the manifest of the platform: fetched, if root is an index, and
// otherwise root itself, whatever platform its config names. Bytecode rarely
// depends on one, and where it does (byte order, argument registers) loading it
// says so.
func (f *fetch) choose(ctx context.Context, root image.Manifest, want schemas.Platform) (image.Manifest, error) {
	if !isIndex(root.Descriptor.MediaType) {
		return root, nil
	}
	entries, err := parseIndex(root)
	if err != nil {
		return image.Manifest{}, err
	}
	entry, err := pick(entries, want)
	if err != nil {
		return image.Manifest{}, err
	}
	m, err := f.src.Manifest(ctx, f.ref.WithDigest(entry.Digest.String()))
	if err != nil {
		return image.Manifest{}, err
	}
	if got := m.Descriptor; got.Digest != entry.Digest || got.Size != entry.Size {
		return image.Manifest{}, fmt.Errorf("%w: the entry for %s names %s of %d bytes, fetched was %s of %d",
			image.ErrDigestMismatch, want, entry.Digest, entry.Size, got.Digest, got.Size)
	}
	if m.Descriptor.MediaType != entry.MediaType {
		return image.Manifest{}, bad("the entry for %s calls %s a %q, it is a %q", want, entry.Digest, entry.MediaType, m.Descriptor.MediaType)
	}
	return m, nil
}

// pick returns the first entry for the platform, or the only entry that names
// none. Entries for unknown/unknown are attestations that docker's builder adds.
func pick(entries []ocispec.Descriptor, want schemas.Platform) (ocispec.Descriptor, error) {
	var have []string
	var unnamed []ocispec.Descriptor
	for _, e := range entries {
		if e.Platform == nil || (e.Platform.OS == "" && e.Platform.Architecture == "") {
			if isImage(e.MediaType) {
				unnamed = append(unnamed, e)
			}
			continue
		}
		p := schemas.NewPlatform(e.Platform.OS, e.Platform.Architecture, e.Platform.Variant)
		if p.OS == "unknown" || p.Arch == "unknown" {
			continue
		}
		if p != want {
			have = append(have, p.String())
			continue
		}
		return e, checkEntry(e, want)
	}
	if len(unnamed) == 1 && len(have) == 0 {
		return unnamed[0], nil
	}
	return ocispec.Descriptor{}, &PlatformError{Want: want.String(), Have: have}
}

func checkEntry(e ocispec.Descriptor, want schemas.Platform) error {
	switch {
	case isIndex(e.MediaType):
		return bad("the entry for %s is another index; an index of indexes is not supported", want)
	case !isImage(e.MediaType):
		return bad("the entry for %s is a %q, not an image", want, e.MediaType)
	}
	return nil
}
