// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestContainerdNames: docker save and others write an image's tag in one
// annotation and its whole name in another.
func TestContainerdNames(t *testing.T) {
	t.Parallel()
	im := newImage(t, "image", nil)
	entry := im.manifest.Descriptor
	entry.Annotations = map[string]string{ocispec.AnnotationRefName: "v1", "io.containerd.image.name": "docker.io/net/counter:v1"}
	index, err := json.Marshal(ocispec.Index{Manifests: []ocispec.Descriptor{entry}})
	if err != nil {
		t.Fatal(err)
	}
	a := openTestArchive(t, tarOf(t, tarEntry{name: "oci-layout", data: `{"imageLayoutVersion":"1.0.0"}`}, tarEntry{name: "index.json", data: string(index)},
		blobEntry(im.manifest.Bytes), blobEntry(im.config), blobEntry(im.layer)))
	for _, name := range []string{"", "v1", "net/counter:v1"} {
		got, err := pick(a, "test", name)
		if err != nil || got.Name != "v1" || !got.Full || got.Reference().String() != "docker.io/net/counter:v1" {
			t.Errorf("%q: got %+v, %v", name, got, err)
		}
		im.check(t, a, got.Ref)
	}
}

func TestDockerArchive(t *testing.T) {
	t.Parallel()
	config, layer := []byte(`{"os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`), []byte("a layer")
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(layer); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a := openTestArchive(t, tarOf(t,
		tarEntry{name: "c.json", data: string(config)},
		tarEntry{name: "l.tar", data: string(layer)},
		tarEntry{name: "old/layer.tar", kind: tar.TypeSymlink, link: "../l.tar"}, // docker's of a layer it wrote before
		tarEntry{name: "blobs/sha256/x", data: packed.String()},
		tarEntry{name: "manifest.json", data: `[{"Config":"c.json","RepoTags":["busybox:1","localhost/b:2"],"Layers":["old/layer.tar","blobs/sha256/x"]}]`},
	))
	if a.KeepsDigests() {
		t.Error("a docker archive claims to keep digests")
	}
	s := newStore(t)
	for _, name := range []string{"busybox:1", "localhost/b:2", ""} {
		im, err := pick(a, "test", name)
		if err != nil {
			t.Fatal(err)
		}
		ref := mustParse(t, "localhost/copied:v1")
		desc, err := Copy(t.Context(), s, ref, a, im.Ref, CopyOptions{Referrers: true})
		if err != nil {
			t.Fatal(err)
		}
		m, err := s.Manifest(t.Context(), ref)
		if err != nil || m.Descriptor.Digest != desc.Digest {
			t.Fatalf("got %s, %v", m.Descriptor.Digest, err)
		}
		blobs, err := blobsOf(m)
		if err != nil || len(blobs) != 3 || blobs[1].desc.MediaType != ocispec.MediaTypeImageLayer || blobs[2].desc.MediaType != ocispec.MediaTypeImageLayerGzip || blobs[1].desc.Size != int64(len(layer)) {
			t.Errorf("got %+v, %v", blobs, err)
		}
	}
}
