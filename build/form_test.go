// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifest returns the manifest of a build.
func manifest(t *testing.T, sink *memory) ocispec.Manifest {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(sink.manifest.Bytes, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestGoldenArtifact pins every byte of the artifacts, as TestGolden does of the
// images.
func TestGoldenArtifact(t *testing.T) {
	t.Parallel()
	for _, path := range []string{counterObject, bytesObject} {
		sink, result := mustBuild(t, build.Options{Form: build.FormArtifact, Platform: "linux/arm/v7"}, object(t, path))
		compareGolden(t, filepath.Join("testdata", "artifact", filepath.Base(path)+".golden"), describeImage(t, sink, result))
	}
}

// TestGoldenCompression pins the digests of layers. That of zstd may change with
// the library's version in go.mod, and with nothing else; a change is worth a
// line in the release notes.
func TestGoldenCompression(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	for _, c := range []build.Compression{"", build.CompressionGzip, build.CompressionZstd, build.CompressionNone} {
		for _, path := range []string{counterObject, bytesObject, unlinkObject} {
			sink, _ := mustBuild(t, build.Options{Compression: c}, object(t, path))
			layer := manifest(t, sink).Layers[0]
			fmt.Fprintf(&out, "%-6q %-13s %s %d bytes %s\n", c, filepath.Base(path), layer.Digest, layer.Size, layer.MediaType)
		}
	}
	compareGolden(t, filepath.Join("testdata", "compression.txt"), out.Bytes())
}

func TestArtifact(t *testing.T) {
	t.Parallel()
	inputs := []build.Input{object(t, unlinkObject), object(t, counterObject)}
	opts := build.Options{
		Form: build.FormArtifact, Annotations: map[string]string{"a": "b"}, Platform: "linux/arm/v7", Compression: build.CompressionNone,
		File: schemas.BuildFile{Name: "n", Programs: map[string]schemas.ProgramDefaults{"xdp_count": {Attach: "xdp:eth0"}}},
	}
	sink, result := mustBuild(t, opts, inputs...)
	m := manifest(t, sink)
	if m.MediaType != ocispec.MediaTypeImageManifest || m.ArtifactType != schemas.ArtifactType || m.Config.MediaType != schemas.MediaTypeDescription {
		t.Errorf("%s, a %s with a config %s", m.MediaType, m.ArtifactType, m.Config.MediaType)
	}
	if got := result.Manifest.Descriptor.ArtifactType; got != schemas.ArtifactType {
		t.Errorf("the descriptor says %q", got)
	}
	for i, in := range inputs {
		want := ocispec.Descriptor{
			MediaType: schemas.MediaTypeObject, Digest: digest.FromBytes(in.Bytes), Size: int64(len(in.Bytes)),
			Annotations: map[string]string{ocispec.AnnotationTitle: in.Name},
		}
		if diff := cmp.Diff(want, m.Layers[i]); diff != "" {
			t.Errorf("layer %d (-want +got):\n%s", i+1, diff)
		}
	}
	var desc schemas.Description
	if err := json.Unmarshal(sink.blobs[m.Config.Digest], &desc); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(result.Description, desc); diff != "" || desc.Objects[1].Programs[0].Target != "eth0" {
		t.Errorf("the config (-result +config):\n%s", diff)
	}
	for key, want := range map[string]string{
		"a": "b", schemas.AnnotationPlatform: "linux/arm/v7", ocispec.AnnotationTitle: "n", schemas.LabelDescription: "",
		schemas.LabelPrograms: `{"count_unlink":"kprobe","time_unlink":"kretprobe","xdp_count":"xdp"}`,
	} {
		if got := m.Annotations[key]; got != want {
			t.Errorf("annotation %s is %q, want %q", key, got, want)
		}
	}
}

// TestImageSaysThingsOnce: the Description of an image is a label, its platform in the
// config, and neither is an annotation; there is no artifactType, which some registries
// refuse.
func TestImageSaysThingsOnce(t *testing.T) {
	t.Parallel()
	for _, form := range []build.Form{"", build.FormImage} {
		sink, result := mustBuild(t, build.Options{Form: form}, object(t, counterObject))
		m := manifest(t, sink)
		if m.Annotations[schemas.LabelDescription] != "" || m.Annotations[schemas.AnnotationPlatform] != "" {
			t.Errorf("annotations %v", m.Annotations)
		}
		if config(t, sink).Config.Labels[schemas.LabelDescription] == "" {
			t.Error("the config has no Description")
		}
		if bytes.Contains(sink.manifest.Bytes, []byte("artifactType")) || result.Manifest.Descriptor.ArtifactType != "" {
			t.Errorf("an artifactType: %s", sink.manifest.Bytes)
		}
	}
}

func TestRefusedForms(t *testing.T) {
	t.Parallel()
	counter := object(t, counterObject)
	many := make([]build.Input, build.MaxArtifactObjects+1)
	for i := range many {
		// Program names must differ; the new one is as long as the old.
		many[i] = build.Input{Name: fmt.Sprint(i), Bytes: bytes.ReplaceAll(counter.Bytes, []byte("xdp_count"), fmt.Appendf(nil, "xdp_c%04d", i))}
	}
	large := make([]build.Input, 3) // which zstd makes small, but nobody unpacks
	for i := range large {
		large[i] = build.Input{Name: many[i].Name, Bytes: append(bytes.Clone(many[i].Bytes), make([]byte, image.MaxLayer/3)...)}
	}
	label := map[string]string{"k": "v"}
	for _, tc := range []struct {
		name   string
		inputs []build.Input
		opts   build.Options
		want   error
		text   string
	}{
		{"form", nil, build.Options{Form: "oci"}, build.ErrOptions, `format "oci": want image or artifact`},
		{"compression", nil, build.Options{Compression: "xz"}, build.ErrOptions, `compression "xz": want gzip, zstd or none`},
		{"artifact, gzip", nil, build.Options{Form: build.FormArtifact, Compression: build.CompressionGzip}, build.ErrOptions, "not compressed"},
		{"artifact, zstd", nil, build.Options{Form: build.FormArtifact, Compression: build.CompressionZstd}, build.ErrOptions, "not compressed"},
		{"artifact, label", nil, build.Options{Form: build.FormArtifact, Labels: label}, build.ErrOptions, `label "k"`},
		{"artifact, label in the file", nil, build.Options{Form: build.FormArtifact, File: schemas.BuildFile{Labels: label}}, build.ErrOptions, `label "k"`},
		{"artifact, our annotation", nil, build.Options{Form: build.FormArtifact, Annotations: map[string]string{schemas.AnnotationPlatform: "x"}}, build.ErrOptions, schemas.AnnotationPlatform},
		{"artifact, endianness", nil, build.Options{Form: build.FormArtifact, Platform: "linux/s390x"}, build.ErrOptions, "little-endian"},
		{"too large unpacked", large, build.Options{Compression: build.CompressionZstd}, image.ErrTooLarge, "archive is"},
		{"artifact, too large", large, build.Options{Form: build.FormArtifact}, image.ErrTooLarge, "layer is"},
		{"artifact, too many", many, build.Options{Form: build.FormArtifact}, build.ErrInput, "65 objects given, at most 64 fit one artifact"},
		{
			"artifact, huge annotation", nil,
			build.Options{Form: build.FormArtifact, Annotations: map[string]string{"a": strings.Repeat("x", image.MaxManifest)}},
			image.ErrTooLarge, "manifest is",
		},
		{
			"huge description", nil,
			build.Options{File: schemas.BuildFile{Name: strings.Repeat("x", schemas.MaxDescription)}},
			image.ErrTooLarge, "Description is",
		},
		{
			"artifact, huge description", nil,
			build.Options{Form: build.FormArtifact, File: schemas.BuildFile{Name: strings.Repeat("x", schemas.MaxDescription)}},
			image.ErrTooLarge, "Description is",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.inputs == nil {
				tc.inputs = []build.Input{counter}
			}
			sink := &memory{}
			_, err := build.Build(t.Context(), sink, reference(t, "localhost:5000/a"), tc.inputs, tc.opts)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got error %v, want %v with %s", err, tc.want, tc.text)
			}
			if sink.blobs != nil || sink.manifest.Bytes != nil {
				t.Error("something was written")
			}
		})
	}
	if _, err := build.Build(t.Context(), &memory{}, reference(t, "localhost:5000/a"), many[:build.MaxArtifactObjects], build.Options{Form: build.FormArtifact}); err != nil {
		t.Errorf("%d objects: %v", build.MaxArtifactObjects, err)
	}
}

// TestCompression: whatever the layer is packed with, the config names the same
// archive, and that is what is in it.
func TestCompression(t *testing.T) {
	t.Parallel()
	unpack := map[build.Compression]func([]byte) (io.Reader, error){
		build.CompressionNone: func(data []byte) (io.Reader, error) { return bytes.NewReader(data), nil },
		build.CompressionZstd: func(data []byte) (io.Reader, error) {
			return zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1))
		},
	}
	plain, _ := mustBuild(t, build.Options{Created: time.Unix(1, 0)}, object(t, counterObject))
	for c, open := range unpack {
		sink, _ := mustBuild(t, build.Options{Compression: c, Created: time.Unix(1, 0)}, object(t, counterObject))
		m := manifest(t, sink)
		r, err := open(sink.blobs[m.Layers[0].Digest])
		if err != nil {
			t.Fatal(err)
		}
		archive, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if got := config(t, sink).RootFS.DiffIDs[0]; got != digest.FromBytes(archive) {
			t.Errorf("%s: the config names %s, the layer holds %s", c, got, digest.FromBytes(archive))
		}
		if m.Config.Digest != manifest(t, plain).Config.Digest {
			t.Errorf("%s: another config than with gzip", c)
		}
	}
}
