// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// platform is os/arch[/variant] in its usual spelling: two that mean the same
// compare equal.
type platform struct {
	os, arch, variant string
}

// String leaves out a variant that goes without saying.
func (p platform) String() string {
	s := p.os + "/" + p.arch
	if p.variant != "" && p.variant != usualVariant[p.arch] {
		s += "/" + p.variant
	}
	return s
}

// usualVariant is what an architecture alone means; usualArch are other names
// people give one (containerd's platforms package, database.go).
var (
	usualVariant = map[string]string{"amd64": "v1", "arm64": "v8", "arm": "v7"}
	usualArch    = map[string]string{"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64"}
)

func newPlatform(os, arch, variant string) platform {
	p := platform{os: strings.ToLower(os), arch: strings.ToLower(arch), variant: strings.ToLower(variant)}
	if usual, ok := usualArch[p.arch]; ok {
		p.arch = usual
	}
	if p.variant != "" && p.variant[0] >= '0' && p.variant[0] <= '9' {
		p.variant = "v" + p.variant
	}
	if p.variant == "" {
		p.variant = usualVariant[p.arch]
	}
	return p
}

// parsePlatform reads what a person asks for; "" is this machine, whose BPF
// programs run on Linux.
func parsePlatform(s string) (platform, error) {
	if s == "" {
		return newPlatform("linux", runtime.GOARCH, ""), nil
	}
	parts := strings.Split(s, "/")
	if len(parts) == 2 {
		parts = append(parts, "")
	}
	if len(parts) != 3 || parts[0] == "" || parts[1] == "" {
		return platform{}, fmt.Errorf("platform %q: want os/arch[/variant], such as linux/arm64", s)
	}
	return newPlatform(parts[0], parts[1], parts[2]), nil
}

// choose returns the manifest of the platform: fetched, if root is an index, and
// otherwise root itself, whatever platform its config names. Bytecode rarely
// depends on one, and where it does (byte order, argument registers) loading it
// says so.
func (f *fetch) choose(ctx context.Context, root image.Manifest, want platform) (image.Manifest, error) {
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
func pick(entries []ocispec.Descriptor, want platform) (ocispec.Descriptor, error) {
	var have []string
	var unnamed []ocispec.Descriptor
	for _, e := range entries {
		if e.Platform == nil || (e.Platform.OS == "" && e.Platform.Architecture == "") {
			if isImage(e.MediaType) {
				unnamed = append(unnamed, e)
			}
			continue
		}
		p := newPlatform(e.Platform.OS, e.Platform.Architecture, e.Platform.Variant)
		if p.os == "unknown" || p.arch == "unknown" {
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

func checkEntry(e ocispec.Descriptor, want platform) error {
	switch {
	case isIndex(e.MediaType):
		return bad("the entry for %s is another index; an index of indexes is not supported", want)
	case !isImage(e.MediaType):
		return bad("the entry for %s is a %q, not an image", want, e.MediaType)
	}
	return nil
}
