// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestPlatforms: attestations, nested indexes and entries without a platform are
// not listed, and an image that is there for two platforms is called as asked.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for platform := range strings.FieldsSeq("linux/x86_64 unknown/unknown linux/arm/6 linux/arm64") {
		index.Manifests = append(index.Manifests, entry(platform, ""))
	}
	index.Manifests = append(index.Manifests, entry("", ""), entry("linux/s390x", ocispec.MediaTypeImageIndex))
	twice := index.Manifests[0]
	twice.Platform = &ocispec.Platform{OS: "linux", Architecture: "riscv64"}
	index.Manifests = append(index.Manifests, twice)
	data, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	img := &Image{
		Root:     image.Manifest{Descriptor: descriptor(index.MediaType, data), Bytes: data},
		Manifest: image.Manifest{Descriptor: twice},
	}
	var got []string
	for _, p := range img.Platforms() {
		got = append(got, p.Platform)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm/v6", "linux/arm64", "linux/riscv64"}, got); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
	for asked, want := range map[string]string{"linux/riscv64": "linux/riscv64", "linux/amd64": "linux/amd64", "linux/mips": "linux/amd64"} {
		p, err := schemas.ParsePlatform(asked)
		if err != nil {
			t.Fatal(err)
		}
		img.asked = p
		if got := img.Platform(); got != want {
			t.Errorf("asked for %s it is %q, want %s", asked, got, want)
		}
	}
	img.Root = img.Manifest
	if list, name := img.Platforms(), img.Platform(); list != nil || name != "" {
		t.Errorf("an image in no index has %v and %q", list, name)
	}
}
