// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// recorder serves h and remembers the requests.
type recorder struct {
	h    http.Handler
	mu   sync.Mutex
	seen []string
	auth []string
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.seen = append(r.seen, req.Method+" "+req.URL.Path)
	r.auth = append(r.auth, req.Header.Get("Authorization"))
	r.mu.Unlock()
	r.h.ServeHTTP(w, req)
}

// requests are the recorded ones that contain part, since the last reset.
func (r *recorder) requests(part string) (found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.seen {
		if strings.Contains(s, part) {
			found = append(found, s)
		}
	}
	return found
}

func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen, r.auth = nil, nil
}

// serve starts an http server and returns its host:port.
func serve(t *testing.T, h http.Handler) (string, *recorder) {
	t.Helper()
	rec := &recorder{h: h}
	server := httptest.NewUnstartedServer(rec)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://"), rec
}

// newRegistryServer is go-containerregistry's in-process registry.
func newRegistryServer(t *testing.T, referrers bool) (string, *recorder) {
	t.Helper()
	return serve(t, registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(referrers)))
}

// fast retries without waiting; tests never use the machine's credentials.
func testClient(t *testing.T, opts RegistryOptions) *Registry {
	t.Helper()
	if opts.Keychain == nil {
		opts.Keychain = authn.NewMultiKeychain()
	}
	if opts.Retry == (Retry{}) {
		opts.Retry = Retry{Attempts: 3, Delay: time.Microsecond, MaxDelay: time.Millisecond}
	}
	r, err := NewRegistry(opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustParse(t testing.TB, s string) Reference {
	t.Helper()
	ref, err := ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func describe(mediaType string, data []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
}

// testImage is an image of one layer.
type testImage struct {
	config, layer []byte
	manifest      Manifest
	descs         [2]ocispec.Descriptor
}

// newImage makes an image whose bytes depend on seed; edit may change the
// manifest.
func newImage(t testing.TB, seed string, edit func(*ocispec.Manifest)) testImage {
	t.Helper()
	im := testImage{
		config: []byte(`{"architecture":"amd64","os":"linux","created":"2026-01-02T03:04:05Z","rootfs":{"type":"layers","diff_ids":["` + digest.FromString(seed).String() + `"]}}`),
		layer:  []byte("layer " + seed),
	}
	im.descs[0] = describe(ocispec.MediaTypeImageConfig, im.config)
	im.descs[1] = describe(ocispec.MediaTypeImageLayer, im.layer)
	content := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/vnd.test", Config: im.descs[0], Layers: im.descs[1:]}
	content.SchemaVersion = 2
	if edit != nil {
		edit(&content)
	}
	im.manifest = encode(t, content.MediaType, content)
	return im
}

func newIndex(t testing.TB, children ...Manifest) Manifest {
	t.Helper()
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{}}
	index.SchemaVersion = 2
	for _, child := range children {
		desc := child.Descriptor
		desc.ArtifactType = ""
		desc.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
		index.Manifests = append(index.Manifests, desc)
	}
	return encode(t, index.MediaType, index)
}

func encode(t testing.TB, mediaType string, content any) Manifest {
	t.Helper()
	data, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	return Manifest{Descriptor: describe(mediaType, data), Bytes: data}
}

// put stores the image under ref.
func (im testImage) put(t testing.TB, sink Sink, ref Reference) {
	t.Helper()
	if err := im.tryPut(t.Context(), sink, ref); err != nil {
		t.Fatal(err)
	}
}

func (im testImage) tryPut(ctx context.Context, sink Sink, ref Reference) error {
	return errors.Join(
		sink.PutBlob(ctx, ref, im.descs[0], im.config, ""),
		sink.PutBlob(ctx, ref, im.descs[1], im.layer, ""),
		sink.PutManifest(ctx, ref, im.manifest))
}

// referrerOf makes an artifact attached to subject.
func referrerOf(t testing.TB, subject Manifest, seed string) testImage {
	t.Helper()
	return newImage(t, seed, func(m *ocispec.Manifest) {
		desc := subject.Descriptor
		desc.ArtifactType = ""
		m.Subject = &desc
		m.ArtifactType = "application/vnd.test.signature"
		m.Annotations = map[string]string{"seed": seed, ocispec.AnnotationRefName: "localhost/stolen:name"}
	})
}

// side is a place that reads and writes.
type side interface {
	Source
	Sink
}

// check reads the image back.
func (im testImage) check(t testing.TB, src Source, ref Reference) {
	t.Helper()
	m, err := src.Manifest(t.Context(), ref)
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Bytes) != string(im.manifest.Bytes) || m.Descriptor.Digest != im.manifest.Descriptor.Digest {
		t.Fatalf("%s: got manifest %s, want %s", ref, m.Bytes, im.manifest.Bytes)
	}
	for i, want := range [][]byte{im.config, im.layer} {
		got, err := src.Blob(t.Context(), ref, im.descs[i], MaxLayer)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != string(want) {
			t.Fatalf("%s: got blob %q, want %q", ref, got, want)
		}
	}
}
