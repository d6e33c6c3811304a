// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestContract holds every transport to what Source and Sink promise.
func TestContract(t *testing.T) {
	t.Parallel()
	places := []struct {
		name string
		open func(t *testing.T) (side, string)
	}{
		{"registry", func(t *testing.T) (side, string) {
			host, _ := newRegistryServer(t, true)
			return testClient(t, RegistryOptions{}), host
		}},
		{"registry without referrers API", func(t *testing.T) (side, string) {
			host, _ := newRegistryServer(t, false)
			return testClient(t, RegistryOptions{}), host
		}},
		{"store", func(t *testing.T) (side, string) { return newStore(t), "localhost:5000" }},
		{"docker-registry", func(t *testing.T) (side, string) {
			return testClient(t, RegistryOptions{}), dockerRegistryServer(t)
		}},
	}
	for _, place := range places {
		t.Run(place.name, func(t *testing.T) {
			t.Parallel()
			s, host := place.open(t)
			t.Run("image", func(t *testing.T) { contractImage(t, s, mustParse(t, host+"/a/image:v1")) })
			t.Run("missing", func(t *testing.T) { contractMissing(t, s, mustParse(t, host+"/a/none:v1")) })
			t.Run("referrers", func(t *testing.T) { contractReferrers(t, s, mustParse(t, host+"/a/referrers:v1")) })
			t.Run("refused", func(t *testing.T) { contractRefused(t, s, mustParse(t, host+"/a/refused:v1")) })
		})
	}
}

func contractImage(t *testing.T, s side, ref Reference) {
	im := newImage(t, "one", nil)
	for range 2 { // the second time everything is there already
		im.put(t, s, ref)
	}
	byDigest := ref.WithDigest(im.manifest.Descriptor.Digest.String())
	im.check(t, s, ref)
	im.check(t, s, byDigest)
	other := newImage(t, "two", nil)
	other.put(t, s, ref)
	other.check(t, s, ref)
	im.check(t, s, byDigest)
	untagged := newImage(t, "three", nil)
	untagged.put(t, s, ref.WithDigest(untagged.manifest.Descriptor.Digest.String()))
	untagged.check(t, s, ref.WithDigest(untagged.manifest.Descriptor.Digest.String()))
	other.check(t, s, ref)
}

func contractMissing(t *testing.T, s side, ref Reference) {
	nothing := digest.FromString("nothing")
	if _, err := s.Manifest(t.Context(), ref); !errors.Is(err, ErrNotFound) {
		t.Errorf("manifest by tag: got %v, want ErrNotFound", err)
	}
	if _, err := s.Manifest(t.Context(), ref.WithDigest(nothing.String())); !errors.Is(err, ErrNotFound) {
		t.Errorf("manifest by digest: got %v, want ErrNotFound", err)
	}
	if _, err := s.Blob(t.Context(), ref, ocispec.Descriptor{Digest: nothing, Size: 7}, 10); !errors.Is(err, ErrNotFound) {
		t.Errorf("blob: got %v, want ErrNotFound", err)
	}
	if list, err := s.Referrers(t.Context(), ref.WithDigest(nothing.String())); err != nil || len(list) != 0 {
		t.Errorf("referrers: got %v, %v, want none", list, err)
	}
}

func contractReferrers(t *testing.T, s side, ref Reference) {
	im := newImage(t, "subject", nil)
	im.put(t, s, ref)
	want := map[digest.Digest]string{}
	for i := range 3 {
		r := referrerOf(t, im.manifest, fmt.Sprint("referrer", i))
		at := ref.WithDigest(r.manifest.Descriptor.Digest.String())
		for range 2 {
			r.put(t, s, at)
		}
		r.check(t, s, at)
		want[r.manifest.Descriptor.Digest] = fmt.Sprint("referrer", i)
	}
	list, err := s.Referrers(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != len(want) {
		t.Errorf("got %d referrers, want %d: %v", len(list), len(want), list)
	}
	for _, desc := range list {
		if _, ok := want[desc.Digest]; !ok || desc.MediaType != ocispec.MediaTypeImageManifest {
			t.Errorf("unexpected referrer %+v", desc)
		}
	}
	if _, err := s.Referrers(t.Context(), ref); !errors.Is(err, ErrReference) {
		t.Errorf("referrers of a tag: got %v, want ErrReference", err)
	}
}

func contractRefused(t *testing.T, s side, ref Reference) {
	im := newImage(t, "refused", nil)
	wrong := im.descs[1]
	wrong.Digest = digest.FromString("other")
	wrongManifest := im.manifest
	wrongManifest.Descriptor.Size++
	stored := newImage(t, "stored", nil)
	stored.put(t, s, ref)
	tooLong := stored.descs[1]
	tooLong.Size--
	unknown := encode(t, "application/x-unknown", map[string]any{"config": im.descs[0]})
	_, overLimit := s.Blob(t.Context(), ref, im.descs[1], im.descs[1].Size-1)
	_, longer := s.Blob(t.Context(), ref, tooLong, MaxLayer)
	tests := []struct {
		name string
		got  error
		want error
	}{
		{"blob with another digest", s.PutBlob(t.Context(), ref, wrong, im.layer, ""), ErrDigestMismatch},
		{"manifest with another size", s.PutManifest(t.Context(), ref, wrongManifest), ErrDigestMismatch},
		{"manifest under another digest", s.PutManifest(t.Context(), ref.WithDigest(wrong.Digest.String()), im.manifest), ErrDigestMismatch},
		{"blob over the limit", overLimit, ErrTooLarge},
		{"zero reference", s.PutManifest(t.Context(), Reference{}, im.manifest), ErrReference},
		{"unknown media type", s.PutManifest(t.Context(), ref, unknown), nil},
		{"blob longer than its descriptor", longer, nil},
	}
	for _, tt := range tests {
		if tt.got == nil || tt.want != nil && !errors.Is(tt.got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, tt.got, tt.want)
		}
	}
}
