// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// raw shows what a sink holds to go-containerregistry.
type raw struct{ *memory }

func (r raw) RawManifest() ([]byte, error)        { return r.manifest.Bytes, nil }
func (r raw) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func (r raw) RawConfigFile() ([]byte, error) {
	m, err := v1.ParseManifest(bytes.NewReader(r.manifest.Bytes))
	if err != nil {
		return nil, err
	}
	return r.blobs[digest.Digest(m.Config.Digest.String())], nil
}

func (r raw) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	return layer{data: r.blobs[digest.Digest(h.String())], hash: h}, nil
}

type layer struct {
	data []byte
	hash v1.Hash
}

func (l layer) Digest() (v1.Hash, error)            { return l.hash, nil }
func (l layer) Size() (int64, error)                { return int64(len(l.data)), nil }
func (l layer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }
func (l layer) Compressed() (io.ReadCloser, error)  { return io.NopCloser(bytes.NewReader(l.data)), nil }

// TestReadByOthers reads an image with go-containerregistry: all digests, sizes
// and diff ids agree, and the layer holds the objects in their order.
func TestReadByOthers(t *testing.T) {
	t.Parallel()
	inputs := []build.Input{object(t, unlinkObject), object(t, counterObject), object(t, bytesObject)}
	sink, _ := mustBuild(t, build.Options{}, inputs...)
	img, err := partial.CompressedToImage(raw{sink})
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Fatal(err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers: %v", len(layers), err)
	}
	content, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(content)
	for _, in := range inputs {
		h, err := archive.Next()
		if err != nil {
			t.Fatal(err)
		}
		want := &tar.Header{
			Typeflag: tar.TypeReg, Name: in.Name, Size: int64(len(in.Bytes)), Mode: 0o644, ModTime: h.ModTime, Format: tar.FormatUSTAR,
		}
		if diff := cmp.Diff(want, h); diff != "" || h.ModTime.Unix() != 0 {
			t.Errorf("entry at %s (-want +got):\n%s", h.ModTime, diff)
		}
		if data, err := io.ReadAll(archive); err != nil || !bytes.Equal(data, in.Bytes) {
			t.Errorf("%s: %d bytes, want %d: %v", in.Name, len(data), len(in.Bytes), err)
		}
	}
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("more entries: %v", err)
	}
}

// TestStore builds into the real store and reads everything back.
func TestStore(t *testing.T) {
	t.Parallel()
	store, err := image.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ref := reference(t, "localhost:5000/net/counter:v1")
	result, err := build.Build(t.Context(), store, ref, []build.Input{object(t, counterObject)}, build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := store.Manifest(t.Context(), ref)
	if err != nil || stored.Descriptor.Digest != result.Manifest.Descriptor.Digest {
		t.Fatalf("the tag names %s, want %s: %v", stored.Descriptor.Digest, result.Manifest.Descriptor.Digest, err)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(stored.Bytes, &m); err != nil {
		t.Fatal(err)
	}
	for _, desc := range append(m.Layers, m.Config) {
		if _, err := store.Blob(t.Context(), ref, desc, image.MaxLayer); err != nil {
			t.Errorf("%s: %v", desc.MediaType, err)
		}
	}
}
