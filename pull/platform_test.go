// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// entry is one of an index for the platform "os/arch/variant"; "" names none.
func entry(platform, mediaType string) ocispec.Descriptor {
	desc := descriptor(or(mediaType, ocispec.MediaTypeImageManifest), []byte(platform+mediaType))
	if platform != "" {
		parts := append(strings.Split(platform, "/"), "", "")
		desc.Platform = &ocispec.Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
	}
	return desc
}

func TestPick(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		index, want string // platforms, spaced; "-" names none, ! a nested index
		chosen      int    // -1: a PlatformError, -2: ErrBadImage
	}{
		"the one":                        {"linux/amd64 linux/arm64", "linux/arm64", 1},
		"the first of two":               {"linux/s390x linux/amd64 linux/amd64", "linux/amd64", 1},
		"arm64 goes without its variant": {"linux/amd64 linux/arm64/v8", "linux/arm64", 1},
		"and with it":                    {"linux/arm64", "linux/arm64/v8", 0},
		"another variant is another":     {"linux/amd64/v3 linux/amd64", "linux/amd64", 1},
		"asked for it":                   {"linux/amd64 linux/amd64/v3", "linux/amd64/v3", 1},
		"other spellings":                {"linux/x86_64 Linux/AARCH64", "linux/arm64", 1},
		"variant without v":              {"linux/arm/6 linux/arm/7", "linux/arm", 1},
		"not there":                      {"linux/amd64 windows/amd64", "linux/arm64", -1},
		"variant not there":              {"linux/arm/v6", "linux/arm/v7", -1},
		"attestations are no image":      {"unknown/unknown", "unknown/unknown", -1},
		"attestations are skipped":       {"unknown/unknown linux/amd64", "linux/amd64", 1},
		"the only one names none":        {"-", "linux/amd64", 0},
		"beside an attestation":          {"unknown/unknown -", "linux/amd64", 1},
		"one for it comes first":         {"- linux/amd64", "linux/amd64", 1},
		"beside another platform":        {"- linux/s390x", "linux/amd64", -1},
		"two that name none":             {"- -", "linux/amd64", -1},
		"nested index":                   {"!linux/amd64", "linux/amd64", -2},
		"nested index without platform":  {"!", "linux/amd64", -1},
		"empty":                          {"", "linux/amd64", -1},
	} {
		t.Run(name, func(t *testing.T) {
			var entries []ocispec.Descriptor
			for field := range strings.FieldsSeq(row.index) {
				mediaType := ""
				if platform, nested := strings.CutPrefix(field, "!"); nested {
					field, mediaType = platform, ocispec.MediaTypeImageIndex
				}
				e := entry(strings.Trim(field, "-"), mediaType)
				e.Size = int64(len(entries)) // tells them apart
				entries = append(entries, e)
			}
			want, err := parsePlatform(row.want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := pick(entries, want)
			var missing *PlatformError
			switch {
			case row.chosen >= 0 && (err != nil || got.Size != int64(row.chosen)):
				t.Errorf("chose %d (%v), want %d", got.Size, err, row.chosen)
			case row.chosen == -1 && !errors.As(err, &missing):
				t.Errorf("got %d, %v", got.Size, err)
			case row.chosen == -2 && !errors.Is(err, ErrBadImage):
				t.Errorf("got %d, %v", got.Size, err)
			}
		})
	}
}

func TestPlatformError(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]*PlatformError{
		`there is no image for linux/arm64, only for "linux/amd64", "\x1b": choose one with --platform`: {Want: "linux/arm64", Have: []string{"linux/amd64", "\x1b"}},
		"there is no image for linux/arm64, and none for any other platform":                            {Want: "linux/arm64"},
	} {
		if err.Error() != want {
			t.Errorf("got %s, want %s", err, want)
		}
	}
	many := &PlatformError{Want: "x", Have: make([]string, 1000)}
	if s := many.Error(); len(s) > 500 || !strings.Contains(s, "984 more") {
		t.Errorf("got %s", s)
	}
}

func TestParsePlatform(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"linux", "linux/", "/amd64", "a/b/c/d", "/", "//"} {
		if p, err := parsePlatform(s); err == nil {
			t.Errorf("%q: got %v", s, p)
		}
	}
	if p, err := parsePlatform(""); err != nil || p.OS != "linux" || p.Arch != runtime.GOARCH {
		t.Errorf("default: %v (%v)", p, err)
	}
}

func TestFetchFromIndex(t *testing.T) {
	t.Parallel()
	k := newKit(t, testregistry.Options{})
	push := func(object string) ocispec.Descriptor {
		p := ours(t, file{name: object, content: object})
		p.tag = ""
		return k.image(p)
	}
	amd64, arm64 := push("amd64.o"), push("arm64.o")
	amd64.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
	arm64.Platform = &ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}
	root := k.index("v1", amd64, arm64)

	img := k.mustFetch(Options{Platform: "linux/arm64"})
	if img.Objects[0].File != "arm64.o" || img.Manifest.Descriptor.Digest != arm64.Digest || img.Root.Descriptor.Digest != root.Digest {
		t.Errorf("got %+v", img)
	}
	var missing *PlatformError
	if _, err := k.fetch(Options{Platform: "linux/s390x"}); !errors.As(err, &missing) || !strings.Contains(err.Error(), root.Digest.String()) {
		t.Errorf("got %v", err)
	}

	wrongType, wrongSize, gone := amd64, amd64, amd64
	wrongType.MediaType = dockerManifest
	wrongSize.Size++
	gone.Digest = digest.FromString("gone")
	for want, e := range map[error]ocispec.Descriptor{ErrBadImage: wrongType, image.ErrDigestMismatch: wrongSize, image.ErrNotFound: gone} {
		k.index("v1", e)
		if _, err := k.fetch(Options{Platform: "linux/amd64"}); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

// A single image is taken whatever platform it names.
func TestFetchWithoutIndexIgnoresThePlatform(t *testing.T) {
	t.Parallel()
	k := newKit(t, testregistry.Options{})
	k.image(ours(t, file{name: "a.o", content: "x"}))
	k.mustFetch(Options{Platform: "linux/riscv64"})
}
