// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package docs

import (
	"bytes"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// firstManifest is the digest of the example as the first releases of bpfimg built it.
const firstManifest = "sha256:bbfd4123cfded65b4f1fb6957fdded32e23a623cedb42d867c228d5f6cfbe900"

// TestFirstReleases pulls the example as the first releases built it, to the byte: with
// an artifactType, and the Description as an annotation, too. In the second row, a tool
// has written its config anew, without labels.
func TestFirstReleases(t *testing.T) {
	k := newKit(t)
	ref := reference(t, "registry.example/net/xdp-counter:first")
	description := k.description()
	_, first := k.manifest(k.ref)
	first.ArtifactType = schemas.ArtifactType
	first.Annotations[schemas.LabelDescription] = description
	stored := marshal(t, first)
	if got := descriptor(ocispec.MediaTypeImageManifest, stored).Digest; got != firstManifest {
		t.Fatalf("this is not what the first releases built: %s, want %s", got, firstManifest)
	}
	config := k.blob(first.Config)
	for name, without := range map[string]string{
		"as it was built":    "",
		"without its labels": string(config[bytes.Index(config, []byte(`"config":{`)):bytes.Index(config, []byte(`"rootfs"`))]),
	} {
		t.Run(name, func(t *testing.T) {
			data := []byte(strings.Replace(string(config), without, "", 1))
			m := first
			m.Config = descriptor(ocispec.MediaTypeImageConfig, data)
			if err := k.store.PutBlob(t.Context(), ref, m.Config, data, ""); err != nil {
				t.Fatal(err)
			}
			stored := marshal(t, m)
			if err := k.store.PutManifest(t.Context(), ref, image.Manifest{Descriptor: descriptor(ocispec.MediaTypeImageManifest, stored), Bytes: stored}); err != nil {
				t.Fatal(err)
			}
			img, err := pull.Fetch(t.Context(), k.store, ref, pull.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if img.Format != pull.FormatBpfimg || len(img.Objects) != 1 || !bytes.Equal(img.Objects[0].Bytes, read(t, objectFile)) {
				t.Errorf("read as %q with %d objects", img.Format, len(img.Objects))
			}
			if img.Described == nil || img.Described.Name != "xdp-counter" || img.Described.Version != "v1" {
				t.Errorf("described as %+v", img.Described)
			}
		})
	}
}
