// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pulltest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Docker's media types of an image (distribution, manifest schema 2).
const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
)

// entry is one of an archive.
type entry struct {
	name   string
	folder bool
	data   []byte
}

// archive is as container builders write it: with extended headers for times.
func archive(entries ...entry) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		header := &tar.Header{
			Name: e.name, Typeflag: tar.TypeReg, Size: int64(len(e.data)), Mode: 0o644,
			ModTime: time.Unix(1_700_000_000, 123_456_789), Format: tar.FormatPAX,
		}
		if e.folder {
			header.Typeflag = tar.TypeDir
		}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("writing an archive: %w", err)
		}
		if _, err := w.Write(e.data); err != nil {
			return nil, fmt.Errorf("writing an archive: %w", err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("writing an archive: %w", err)
	}
	return buf.Bytes(), nil
}

// container writes a container image: the files in one gzip layer, and labels.
func (im *Image) container(docker bool, labels map[string]string, entries ...entry) (ocispec.Descriptor, error) {
	content, err := archive(entries...)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(content); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("packing a layer: %w", err)
	}
	if err := z.Close(); err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("packing a layer: %w", err)
	}
	types := [...]string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip}
	if docker {
		types = [...]string{dockerManifest, dockerConfig, dockerLayer}
	}
	config, err := toJSON(ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		Config:   ocispec.ImageConfig{Labels: labels},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(content)}},
	})
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	m := ocispec.Manifest{
		MediaType: types[0], Config: im.blob(types[1], config),
		Layers: []ocispec.Descriptor{im.blob(types[2], packed.Bytes())},
	}
	m.SchemaVersion = 2
	return im.document(types[0], m)
}

// containers is container as a table row, with the object under a name.
func containers(docker bool, name string, labels map[string]string, others ...entry) func(*Image, []byte) (ocispec.Descriptor, error) {
	return func(im *Image, object []byte) (ocispec.Descriptor, error) {
		return im.container(docker, labels, append(others[:len(others):len(others)], entry{name: name, data: object})...)
	}
}

// attested is an image for two platforms beside the attestations that docker's
// builder adds: images for unknown/unknown.
func attested(im *Image, object []byte) (ocispec.Descriptor, error) {
	unknown := ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	return im.index(append([]ocispec.Platform{unknown}, bothPlatforms...), func(p ocispec.Platform) (ocispec.Descriptor, error) {
		if p.OS == unknown.OS {
			return im.unnamed(ocispec.Manifest{
				MediaType: ocispec.MediaTypeImageManifest, Config: im.blob(ocispec.MediaTypeImageConfig, []byte("{}")),
				Layers: []ocispec.Descriptor{im.blob("application/vnd.in-toto+json", []byte("{}"))},
			})
		}
		labels := map[string]string{labelPrograms: `{"xdp_count":"xdp"}`, labelMaps: `{"pkts":"percpu_hash"}`, "arch": p.Architecture}
		return im.container(false, labels, entry{name: "counter.bpf.o", data: object})
	})
}
