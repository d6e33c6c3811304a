// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// putIndex stores an index of two images with a signature on the index and on a
// child, and a cosign 2 signature of the index.
func putIndex(t *testing.T, s side, ref Reference) (index Manifest, children, attached []testImage) {
	t.Helper()
	children = []testImage{newImage(t, "amd64", nil), newImage(t, "arm64", nil)}
	for _, child := range children {
		child.put(t, s, ref.WithDigest(child.manifest.Descriptor.Digest.String()))
	}
	index = newIndex(t, children[0].manifest, children[1].manifest)
	if err := s.PutManifest(t.Context(), ref, index); err != nil {
		t.Fatal(err)
	}
	attached = []testImage{referrerOf(t, index, "on the index"), referrerOf(t, children[1].manifest, "on a child")}
	attached = append(attached, referrerOf(t, attached[0].manifest, "on the signature"))
	for _, sig := range attached {
		sig.put(t, s, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
	}
	legacy := newImage(t, "legacy", nil)
	legacy.put(t, s, fallbackTag(ref.WithDigest(index.Descriptor.Digest.String())).withSuffix(".sig"))
	return index, children, attached
}

func (r Reference) withSuffix(suffix string) Reference { return r.WithTag(r.tag + suffix) }

func TestCopyBetweenAllPlaces(t *testing.T) {
	t.Parallel()
	places := map[string]func(t *testing.T) (side, string){
		"registry": func(t *testing.T) (side, string) {
			host, _ := newRegistryServer(t, true)
			return testClient(t, RegistryOptions{}), host
		},
		"old registry": func(t *testing.T) (side, string) {
			host, _ := newRegistryServer(t, false)
			return testClient(t, RegistryOptions{}), host
		},
		"store":           func(t *testing.T) (side, string) { return newStore(t), "localhost:5000" },
		"docker-registry": func(t *testing.T) (side, string) { return testClient(t, RegistryOptions{}), dockerRegistryServer(t) },
	}
	for from, openSrc := range places {
		for to, openDst := range places {
			t.Run(from+" to "+to, func(t *testing.T) {
				t.Parallel()
				src, srcHost := openSrc(t)
				dst, dstHost := openDst(t)
				checkCopy(t, src, mustParse(t, srcHost+"/src:v1"), dst, mustParse(t, dstHost+"/dst:v2"))
			})
		}
	}
}

func checkCopy(t *testing.T, src side, srcRef Reference, dst side, dstRef Reference) {
	index, children, attached := putIndex(t, src, srcRef)
	for range 2 { // the second time all is there
		desc, err := Copy(t.Context(), dst, dstRef, src, srcRef, CopyOptions{Referrers: true})
		if err != nil {
			t.Fatal(err)
		}
		if desc.Digest != index.Descriptor.Digest {
			t.Errorf("got %s, want %s", desc.Digest, index.Descriptor.Digest)
		}
	}
	if m, err := dst.Manifest(t.Context(), dstRef); err != nil || m.Descriptor.Digest != index.Descriptor.Digest {
		t.Errorf("index: got %s, %v", m.Descriptor.Digest, err)
	}
	for _, im := range append(children, attached...) {
		im.check(t, dst, dstRef.WithDigest(im.manifest.Descriptor.Digest.String()))
	}
	subjects := []digest.Digest{index.Descriptor.Digest, children[1].manifest.Descriptor.Digest, attached[0].manifest.Descriptor.Digest}
	for i, subject := range subjects {
		list, err := dst.Referrers(t.Context(), dstRef.WithDigest(subject.String()))
		if err != nil || len(list) != 1 || list[0].Digest != attached[i].manifest.Descriptor.Digest {
			t.Errorf("referrers of %s: got %v, %v", subject, list, err)
		}
	}
	legacy := newImage(t, "legacy", nil)
	legacy.check(t, dst, fallbackTag(dstRef.WithDigest(index.Descriptor.Digest.String())).withSuffix(".sig"))
}

// TestCopyMounts uses a registry that, unlike the in-process one, keeps the blobs
// of its repositories apart.
func TestCopyMounts(t *testing.T) {
	t.Parallel()
	behind := dockerRegistryServer(t)
	host, rec := serve(t, &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(&url.URL{Scheme: "http", Host: behind})
		r.Out.Host = r.In.Host
	}})
	r := testClient(t, RegistryOptions{})
	im := newImage(t, "mount", nil)
	src := mustParse(t, host+"/src:v1")
	im.put(t, r, src)
	uploads := func() []string {
		return slices.DeleteFunc(rec.requests("/blobs/uploads/"), func(s string) bool { return strings.HasPrefix(s, "POST") })
	}
	if got := uploads(); len(got) != 2 {
		t.Fatalf("got uploads %v, want 2: this test sees nothing", got)
	}
	s := newStore(t)
	im.put(t, s, src)
	tagged := mustParse(t, host+"/tagged:v1")
	if err := s.Tag(t.Context(), src, tagged); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		from   Source
		srcRef Reference
		dstRef Reference
	}{
		{"within the registry", r, src, mustParse(t, host+"/dst:v1")},
		{"from a store that knows another name", s, tagged, tagged},
	}
	for _, tt := range tests {
		rec.reset()
		if _, err := Copy(t.Context(), r, tt.dstRef, tt.from, tt.srcRef, CopyOptions{}); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := uploads(); len(got) != 0 {
			t.Errorf("%s: blobs were uploaded: %v", tt.name, got)
		}
		im.check(t, r, tt.dstRef)
	}
}

// holding counts the bytes that were read and are not written yet.
type holding struct {
	checkingSink
	Source
	mu        sync.Mutex
	now, most int64
}

func (h *holding) add(n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now += n
	h.most = max(h.most, h.now)
}

func (h *holding) Blob(_ context.Context, _ Reference, desc ocispec.Descriptor, _ int64) ([]byte, error) {
	h.add(desc.Size)
	return make([]byte, 0), nil
}

func (h *holding) PutBlob(_ context.Context, _ Reference, desc ocispec.Descriptor, _ []byte, _ string) error {
	time.Sleep(time.Second) // of a synctest bubble: passes when all others wait too
	h.add(-desc.Size)
	return nil
}

// TestCopyHoldsLittle: large layers are not all in memory at a time, and one as
// large as may be still passes.
func TestCopyHoldsLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		im := newImage(t, "large", func(m *ocispec.Manifest) {
			for i := range 20 {
				layer := m.Layers[0]
				layer.Digest, layer.Size = digest.FromString(fmt.Sprint(i)), MaxLayer-int64(i)*(3<<20)
				m.Layers = append(m.Layers, layer)
			}
		})
		h := &holding{checkingSink: checkingSink{t}, Source: fakeSource{im.manifest.Descriptor.Digest: im.manifest}}
		ref := mustParse(t, "localhost/a@"+im.manifest.Descriptor.Digest.String())
		if _, err := Copy(t.Context(), h, ref, h, ref, CopyOptions{}); err != nil || h.most > copyBytes || h.most < MaxLayer {
			t.Errorf("got %v, and up to %d bytes were held, at most %d may be", err, h.most, copyBytes)
		}
	})
}

// TestCopyTransfersOnce: what is there is neither downloaded nor uploaded.
func TestCopyTransfersOnce(t *testing.T) {
	t.Parallel()
	host, rec := newRegistryServer(t, true)
	r := testClient(t, RegistryOptions{})
	s := newStore(t)
	im := newImage(t, "once", nil)
	ref := mustParse(t, host+"/a:v1")
	im.put(t, r, ref)
	for _, want := range []int{2, 0} {
		rec.reset()
		if _, err := Copy(t.Context(), s, ref, r, ref, CopyOptions{}); err != nil {
			t.Fatal(err)
		}
		if got := rec.requests("GET /v2/a/blobs/"); len(got) != want {
			t.Errorf("got downloads %v, want %d", got, want)
		}
	}
	rec.reset()
	if _, err := Copy(t.Context(), r, ref, s, ref, CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := append(append(rec.requests("POST"), rec.requests("PATCH")...), rec.requests("PUT")...); len(got) != 0 {
		t.Errorf("what is there was uploaded: %v", got)
	}
}

func TestCopyHave(t *testing.T) {
	t.Parallel()
	src, dst := newStore(t), newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	index, children, attached := putIndex(t, src, ref)
	have := func(desc ocispec.Descriptor) bool {
		return desc.Digest == children[0].manifest.Descriptor.Digest || desc.Digest == attached[0].manifest.Descriptor.Digest
	}
	if _, err := Copy(t.Context(), dst, ref, src, ref, CopyOptions{Referrers: true, Have: have}); err != nil {
		t.Fatal(err)
	}
	children[0].check(t, dst, ref.WithDigest(children[0].manifest.Descriptor.Digest.String()))
	if _, err := dst.Manifest(t.Context(), ref.WithDigest(children[1].manifest.Descriptor.Digest.String())); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if list, err := dst.Referrers(t.Context(), ref.WithDigest(index.Descriptor.Digest.String())); err != nil || len(list) != 1 {
		t.Errorf("got %v, %v", list, err)
	}
	if err := dst.Remove(t.Context(), ref); err != nil {
		t.Fatal(err)
	}
	if got := blobFiles(t, dst); len(got) != 0 {
		t.Errorf("removing left %v", got)
	}
}

func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	im := newImage(t, "base", nil)
	edited := func(edit func(*ocispec.Manifest)) Manifest { return newImage(t, "base", edit).manifest }
	nested := im.manifest
	var crowd []Manifest
	for range maxIndexDepth + 1 {
		nested = newIndex(t, nested)
		crowd = append(crowd, nested)
	}
	nests := len(crowd)
	for i := range maxManifests + 1 {
		crowd = append(crowd, newImage(t, fmt.Sprint(i), nil).manifest)
	}
	tests := []struct {
		name string
		root Manifest
		text string
	}{
		{"layer with URLs", edited(func(m *ocispec.Manifest) { m.Layers[0].URLs = []string{"https://x.example"} }), "foreign layer"},
		{"foreign layer type", edited(func(m *ocispec.Manifest) {
			m.Layers[0].MediaType = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
		}), "foreign layer"},
		{"too many layers", edited(func(m *ocispec.Manifest) {
			for range maxLayers {
				m.Layers = append(m.Layers, m.Layers[0])
			}
		}), "layers"},
		{"layer too large", edited(func(m *ocispec.Manifest) { m.Layers[0].Size = MaxLayer + 1 }), "at most"},
		{"negative size", edited(func(m *ocispec.Manifest) { m.Layers[0].Size = -1 }), "negative"},
		{"config too large", edited(func(m *ocispec.Manifest) { m.Config.Size = MaxConfig + 1 }), "at most"},
		{"digest that is a path", edited(func(m *ocispec.Manifest) { m.Layers[0].Digest = "sha256:../../../etc/passwd" }), "64 lower-case hex"},
		{"indexes in indexes", nested, "nested"},
		{"too many manifests", newIndex(t, crowd[nests:]...), "more than 64 manifests"},
		{"child of another size", func() Manifest {
			child := im.manifest
			child.Descriptor.Size++
			return newIndex(t, child)
		}(), "announced as"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			src := fakeSource{im.manifest.Descriptor.Digest: im.manifest}
			for _, m := range slices.Concat(crowd, []Manifest{tt.root}) {
				src[m.Descriptor.Digest] = m
			}
			dst := newStore(t)
			ref := mustParse(t, "localhost/a:v1")
			_, err := Copy(t.Context(), dst, ref, src, ref.WithDigest(tt.root.Descriptor.Digest.String()), CopyOptions{})
			if err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %q", err, tt.text)
			}
			if _, err := os.Stat(dst.dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something was written: %v", err)
			}
		})
	}
}

// TestCopyAfterConcurrentRemove: blobs that vanish before their manifest arrives
// are copied again.
func TestCopyAfterConcurrentRemove(t *testing.T) {
	t.Parallel()
	src, dst := newStore(t), newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	im := newImage(t, "image", nil)
	im.put(t, src, ref)
	thief := &thievingSink{Store: dst, steal: func() error { return os.Remove(dst.blobPath(im.descs[1].Digest)) }}
	if _, err := Copy(t.Context(), thief, ref, src, ref, CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	im.check(t, dst, ref)
}

// TestIndexAfterConcurrentRemove: nor is an index stored without the children that
// were copied for it, and their blobs.
func TestIndexAfterConcurrentRemove(t *testing.T) {
	t.Parallel()
	ref, other := mustParse(t, "localhost/a:v2"), mustParse(t, "localhost/a:v1")
	images := []testImage{newImage(t, "one", nil), newImage(t, "two", nil)}
	index := newIndex(t, images[0].manifest, images[1].manifest)
	thefts := map[string]func(*Store) error{
		"another name of it is removed": func(s *Store) error { return s.Remove(t.Context(), other) },
		"all that is young is pruned": func(s *Store) error {
			return errors.Join(s.Remove(t.Context(), other), func() error { _, err := s.Prune(t.Context(), PruneOptions{Now: true}); return err }())
		},
		"a child":           func(s *Store) error { return os.Remove(s.blobPath(images[1].manifest.Descriptor.Digest)) },
		"a blob of a child": func(s *Store) error { return os.Remove(s.blobPath(images[1].descs[1].Digest)) },
	}
	for name, steal := range thefts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, dst := newStore(t), newStore(t)
			for _, im := range images {
				im.put(t, src, ref.WithDigest(im.manifest.Descriptor.Digest.String()))
			}
			if err := src.PutManifest(t.Context(), ref, index); err != nil {
				t.Fatal(err)
			}
			if _, err := Copy(t.Context(), dst, other, src, ref, CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			thief := &thievingSink{Store: dst, steal: func() error { return steal(dst) }}
			if _, err := Copy(t.Context(), thief, ref, src, ref, CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			for _, im := range images {
				im.check(t, dst, ref.WithDigest(im.manifest.Descriptor.Digest.String()))
			}
		})
	}
}

// TestCopyAfterRemoveBeforeSync: a blob can go in the moment between looking for it
// and making it durable.
func TestCopyAfterRemoveBeforeSync(t *testing.T) {
	t.Parallel()
	src, dst := newStore(t), newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	im := newImage(t, "image", nil)
	im.put(t, src, ref.WithDigest(im.manifest.Descriptor.Digest.String()))
	index := newIndex(t, im.manifest)
	if err := src.PutManifest(t.Context(), ref, index); err != nil {
		t.Fatal(err)
	}
	stolen := false
	dst.step = func(step string) error {
		if _, err := os.Stat(dst.blobPath(im.manifest.Descriptor.Digest)); err != nil || step != "rename" || stolen {
			return nil
		}
		stolen = true
		return os.Remove(dst.blobPath(im.descs[1].Digest))
	}
	if _, err := Copy(t.Context(), dst, ref, src, ref, CopyOptions{}); err != nil || !stolen {
		t.Fatal(err, stolen)
	}
	im.check(t, dst, ref.WithDigest(im.manifest.Descriptor.Digest.String()))
}

// TestCopyEndlessRemove: who loses every time says why.
func TestCopyEndlessRemove(t *testing.T) {
	t.Parallel()
	src, dst := newStore(t), newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	im := newImage(t, "image", nil)
	im.put(t, src, ref)
	dst.step = func(string) error {
		_ = os.Remove(dst.blobPath(im.descs[1].Digest)) // mostly not there
		return nil
	}
	_, err := Copy(t.Context(), dst, ref, src, ref, CopyOptions{})
	if err == nil || !strings.Contains(err.Error(), "prune --now") || strings.Contains(err.Error(), "\n") || errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

// thievingSink removes something once, just before the image is stored.
type thievingSink struct {
	*Store
	steal func() error
	once  sync.Once
}

func (s *thievingSink) batch(whole []digest.Digest) (sinkBatch, error) {
	b, err := s.Store.batch(whole)
	return &thievingBatch{sinkBatch: b, thief: s}, err
}

type thievingBatch struct {
	sinkBatch
	thief *thievingSink
}

func (b *thievingBatch) commit(ctx context.Context) error {
	var err error
	b.thief.once.Do(func() { err = b.thief.steal() })
	return errors.Join(err, b.sinkBatch.commit(ctx))
}

// fakeSource serves manifests that no honest sink would take.
type fakeSource map[digest.Digest]Manifest

func (s fakeSource) Manifest(_ context.Context, ref Reference) (Manifest, error) {
	m, ok := s[digest.Digest(ref.Digest())]
	if !ok {
		return m, fmt.Errorf("%s: %w", ref, ErrNotFound)
	}
	m.Descriptor = describe(m.Descriptor.MediaType, m.Bytes)
	return m, nil
}

func (s fakeSource) Blob(context.Context, Reference, ocispec.Descriptor, int64) ([]byte, error) {
	return nil, ErrNotFound
}

func (s fakeSource) Referrers(context.Context, Reference) ([]ocispec.Descriptor, error) {
	return nil, nil
}
