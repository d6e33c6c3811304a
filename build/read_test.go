// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/bpfimg/bpfimg/build"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
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
