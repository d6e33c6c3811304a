// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const (
	dockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	emptyConfig     = "application/vnd.oci.empty.v1+json"
)

// kit is a registry with a repository that a test fills by hand, byte by byte,
// with no check between it and what is pulled.
type kit struct {
	t        *testing.T
	registry *testregistry.Registry
	src      *image.Registry
	ref      image.Reference
	put      *http.Client
}

func newKit(t *testing.T, opts testregistry.Options) *kit {
	t.Helper()
	opts.AcceptIncomplete = true
	registry, err := testregistry.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	ref, err := image.ParseReference("registry.test/net/counter:v1")
	if err != nil {
		t.Fatal(err)
	}
	return &kit{t, registry, source(t, registry), ref, &http.Client{Transport: testregistry.InProcess(registry)}}
}

// source is a client without a network, credentials or patience.
func source(t *testing.T, h http.Handler) *image.Registry {
	t.Helper()
	src, err := image.NewRegistry(image.RegistryOptions{
		Keychain:  authn.NewMultiKeychain(),
		Transport: testregistry.InProcess(h),
		Retry:     image.Retry{Attempts: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	return src
}

// send makes one write request.
func (k *kit) send(method, path, contentType string, data []byte) {
	k.t.Helper()
	req, err := http.NewRequestWithContext(k.t.Context(), method, "https://registry.test/v2/net/counter/"+path, bytes.NewReader(data))
	if err != nil {
		k.t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := k.put.Do(req)
	if err != nil {
		k.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		body, _ := io.ReadAll(resp.Body)
		k.t.Fatalf("%s %s: %s %s", method, path, resp.Status, body)
	}
}

func (k *kit) blob(mediaType string, data []byte) ocispec.Descriptor {
	k.t.Helper()
	desc := descriptor(mediaType, data)
	k.send("POST", "blobs/uploads/?digest="+desc.Digest.String(), "application/octet-stream", data)
	return desc
}

// document pushes a manifest; tag "" leaves it to its digest.
func (k *kit) document(tag, mediaType string, data []byte) ocispec.Descriptor {
	k.t.Helper()
	desc := descriptor(mediaType, data)
	if tag == "" {
		tag = desc.Digest.String()
	}
	k.send("PUT", "manifests/"+tag, mediaType, data)
	return desc
}

func descriptor(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

func (k *kit) manifest(tag string, m ocispec.Manifest) ocispec.Descriptor {
	k.t.Helper()
	m.SchemaVersion = 2
	if m.MediaType == "" {
		m.MediaType = ocispec.MediaTypeImageManifest
	}
	return k.document(tag, m.MediaType, toJSON(k.t, m))
}

func (k *kit) index(tag string, entries ...ocispec.Descriptor) ocispec.Descriptor {
	k.t.Helper()
	return k.document(tag, ocispec.MediaTypeImageIndex, toJSON(k.t, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: entries,
	}))
}

// pushed is one image to push.
type pushed struct {
	tag, artifactType       string
	manifestType, layerType string // default: OCI image manifest, tar+gzip
	configType              string // default: OCI image config
	labels, annotations     map[string]string
	config                  []byte   // instead of one made from labels and layers
	layers                  [][]byte // as unpacked, gzipped unless layerType says otherwise
	raw                     [][]byte // instead of layers: as they go over the wire
	layerAnnotations        map[string]string
}

func (k *kit) image(p pushed) ocispec.Descriptor {
	k.t.Helper()
	m := ocispec.Manifest{MediaType: p.manifestType, ArtifactType: p.artifactType, Annotations: p.annotations}
	layerType := or(p.layerType, ocispec.MediaTypeImageLayerGzip)
	diffIDs := []digest.Digest{}
	for i, content := range p.layers {
		diffIDs = append(diffIDs, digest.FromBytes(content))
		if p.raw == nil && layerTypes[layerType] == gzipped {
			content = zipped(k.t, content)
		}
		if p.raw != nil {
			content = p.raw[i]
		}
		layer := k.blob(layerType, content)
		layer.Annotations = p.layerAnnotations
		m.Layers = append(m.Layers, layer)
	}
	if p.config == nil {
		p.config = imageConfig(k.t, p.labels, diffIDs)
	}
	m.Config = k.blob(or(p.configType, ocispec.MediaTypeImageConfig), p.config)
	return k.manifest(p.tag, m)
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func imageConfig(t *testing.T, labels map[string]string, diffIDs []digest.Digest) []byte {
	t.Helper()
	return toJSON(t, ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: "amd64"},
		Config:   ocispec.ImageConfig{Labels: labels},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: diffIDs},
	})
}

// ours is an image as bpfimg builds it.
func ours(t *testing.T, files ...file) pushed {
	t.Helper()
	desc := schemas.Description{SchemaVersion: 1, Name: "counter", Objects: []schemas.Object{{File: "counter.o"}}}
	return pushed{
		tag: "v1",
		labels: map[string]string{
			schemas.LabelPrograms:    `{"xdp_count":"xdp"}`,
			schemas.LabelMaps:        `{}`,
			schemas.LabelDescription: string(toJSON(t, desc)),
		},
		layers: [][]byte{archive(t, files...)},
	}
}

// file is one entry of an archive; kind 0 is a regular file.
type file struct {
	name    string
	content string
	kind    byte
	link    string
	pax     map[string]string
}

func archive(t testing.TB, files ...file) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Typeflag: f.kind, Linkname: f.link, Size: int64(len(f.content)), Mode: 0o644, ModTime: time.Unix(0, 0)}
		if f.kind == 0 {
			header.Typeflag = tar.TypeReg
		}
		if f.kind == tar.TypeXGlobalHeader {
			header = &tar.Header{Typeflag: f.kind} // the writer takes no more
		}
		if f.pax != nil {
			header.Format, header.PAXRecords = tar.FormatPAX, f.pax
		}
		if err := w.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zipped(t *testing.T, data []byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func toJSON(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// realObject is a compiled program of the examples.
func realObject(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../examples/xdp-counter/counter.bpf.o")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func (k *kit) fetch(opts Options) (*Image, error) {
	k.t.Helper()
	return Fetch(k.t.Context(), k.src, k.ref, opts)
}

func (k *kit) mustFetch(opts Options) *Image {
	k.t.Helper()
	img, err := k.fetch(opts)
	if err != nil {
		k.t.Fatal(err)
	}
	return img
}
