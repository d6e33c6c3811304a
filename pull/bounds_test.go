// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// fixedSource answers every question with the same manifest and the same blob,
// whatever digest was asked for.
type fixedSource struct {
	image.Source
	manifest image.Manifest
	blob     []byte
}

func (s fixedSource) Manifest(context.Context, image.Reference) (image.Manifest, error) {
	return s.manifest, nil
}

func (s fixedSource) Blob(context.Context, image.Reference, ocispec.Descriptor, int64) ([]byte, error) {
	return s.blob, nil
}

// answering is a fetch from a source that answers like that.
func answering(t *testing.T, s fixedSource) *fetch {
	t.Helper()
	ref, err := image.ParseReference("registry.test/a:v1")
	if err != nil {
		t.Fatal(err)
	}
	return &fetch{src: s, ref: ref}
}

// padTo is text with spaces behind it, size bytes in all.
func padTo(text string, size int) string { return text + strings.Repeat(" ", size-len(text)) }

// imageManifest is one with subject, or without for "", and as many bytes as asked
// for.
func imageManifest(subject digest.Digest, size int) image.Manifest {
	blob := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1}`, schemas.MediaTypeBundle, digest.FromString("x"))
	members := `"config":` + blob + `,"layers":[` + blob + `]`
	if subject != "" {
		members += fmt.Sprintf(`,"subject":{"mediaType":"x","digest":%q,"size":1}`, subject)
	}
	return manifestOf(ocispec.MediaTypeImageManifest, padTo(`{"schemaVersion":2,`+members+`}`, size))
}

// TestAnotherManifest: a manifest that is not the one whose digest is listed is
// refused, also when it has the size of that one.
func TestAnotherManifest(t *testing.T) {
	t.Parallel()
	subject := digest.FromString("subject")
	served := imageManifest(subject, 2000)
	other := imageManifest(subject, 2000)
	other.Descriptor.Digest = digest.FromString("other")
	f := answering(t, fixedSource{manifest: served})
	for _, listed := range []ocispec.Descriptor{served.Descriptor, other.Descriptor} {
		honest := listed.Digest == served.Descriptor.Digest
		listed.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
		index := manifestOf(ocispec.MediaTypeImageIndex, string(toJSON(t, map[string]any{
			"schemaVersion": 2, "manifests": []ocispec.Descriptor{listed},
		})))
		if _, err := f.choose(t.Context(), index, schemas.NewPlatform("linux", "amd64", "")); honest != (err == nil) || !honest && !errors.Is(err, image.ErrDigestMismatch) {
			t.Errorf("of an index: %v", err)
		}
		layer, err := newSearch(f, subject, &sync.Map{}).bundleLayer(t.Context(), listed)
		if honest != (err == nil) || !honest && (layer != nil || !errors.Is(err, image.ErrDigestMismatch)) {
			t.Errorf("of a list of referrers: %v, %v", layer, err)
		}
	}
}

// TestBounds: what is exactly at a limit is read, and one more is not.
func TestBounds(t *testing.T) {
	t.Parallel()
	subject := digest.FromString("subject")
	entry := fmt.Sprintf(`{"mediaType":"x","digest":%q,"size":1}`, digest.FromString("x"))
	signatures := legacyForms[0]
	search := func(s fixedSource) *search { return newSearch(answering(t, s), subject, &sync.Map{}) }
	for _, tt := range []struct {
		name string
		max  int
		of   func(n int) error
		want string
	}{
		{"entries of an index", maxIndexEntries, func(n int) error {
			_, err := parseIndex(manifestOf(ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[`+entry+strings.Repeat(","+entry, n-1)+`]}`))
			return err
		}, "1025 entries, at most 1024"},
		{"bytes of a referrer's manifest", maxReferrerManifest, func(n int) error {
			m := imageManifest(subject, n)
			_, err := search(fixedSource{manifest: m}).bundleLayer(t.Context(), m.Descriptor)
			return err
		}, "at most 262144 are read"},
		{"bytes of a bundle", maxBundle, func(n int) error {
			return search(fixedSource{}).reserve("bundle", int64(n), maxBundle)
		}, "at most 1048576 are read"},
		{"bytes of a bundle that takes nothing of what large ones share", smallBundle, func(n int) error {
			s := search(fixedSource{})
			s.large = 0
			return s.reserve("bundle", int64(n), maxBundle)
		}, "all over 65536 together"},
		{"bytes of large bundles together", maxLargeBundles, func(n int) error {
			s := search(fixedSource{})
			for ; n > maxBundle; n -= maxBundle / 2 {
				if err := s.reserve("bundle", maxBundle/2, maxBundle); err != nil {
					return err
				}
			}
			return s.reserve("bundle", int64(n), maxBundle)
		}, "all over 65536 together"},
		{"bytes of all that is looked at", MaxLooked, func(n int) error {
			s := search(fixedSource{})
			for ; n > smallBundle; n -= smallBundle / 2 {
				if err := s.reserve("bundle", smallBundle/2, maxBundle); err != nil {
					return err
				}
			}
			return s.reserve("bundle", int64(n), maxBundle)
		}, "looked at together may be 8388608"},
		{"candidates looked at", MaxCandidates, func(n int) error {
			s := search(fixedSource{})
			for range n {
				if s.claim(1) != 1 {
					return fmt.Errorf("%d are over the limit", s.report().OverLimit)
				}
			}
			return nil
		}, "1 are over the limit"},
		{"bytes of annotations", maxAnnotations, func(n int) error {
			layer := ocispec.Descriptor{MediaType: signatures.mediaType, Annotations: map[string]string{"key": strings.Repeat("x", n-len("key"))}}
			l := &legacy{search: search(fixedSource{}), form: signatures}
			_, _, err := l.payload(t.Context(), layer)
			return err
		}, "at most 65536 are read"},
		{"bytes of a file name", maxFileName, func(n int) error { return checkFileName(strings.Repeat("x", n)) }, "is over 255 bytes"},
		{"bytes of a zstd window", maxWindow, func(n int) error {
			return checkFrameHeader(zstd.Header{WindowSize: uint64(n)})
		}, "at most 8388608 are allowed"},
		{"bytes of BTF", schemas.MaxBTF, func(n int) error {
			c := contents{layers: [][]byte{nil}, manifest: ocispec.Manifest{Layers: []ocispec.Descriptor{{Annotations: map[string]string{
				schemas.AnnotationBTFArch: "amd64", schemas.AnnotationBTFKernels: `["5.4.0"]`,
			}}}}}
			_, err := readBTF(c, 0, func(contents, int) ([]byte, error) { return make([]byte, n), nil })
			return err
		}, "are allowed"},
		{"layers under strict rules", strictRules.maxLayers, func(n int) error {
			content := archive(t, good)
			c := layerOf(content, content, ocispec.MediaTypeImageLayer)
			for len(c.layers) < n { // with an object of another name
				more := archive(t, file{name: "more.o", content: "y"})
				c.layers, c.config.diffIDs = append(c.layers, more), append(c.config.diffIDs, digest.FromBytes(more))
				c.manifest.Layers = append(c.manifest.Layers, c.manifest.Layers[0])
			}
			_, err := unpack(c, strictRules)
			return err
		}, "has 2 layers instead of 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.of(tt.max); err != nil {
				t.Errorf("at the limit: %v", err)
			}
			if err := tt.of(tt.max + 1); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("one more: %v, want %q", err, tt.want)
			}
		})
	}
}
