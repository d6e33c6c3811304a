// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package sign_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/sign"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// addIndex stores an index of the manifests with the digests given.
func (m *memory) addIndex(t *testing.T, tag string, of ...digest.Digest) digest.Digest {
	t.Helper()
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	for _, d := range of {
		size := m.manifests[d.String()].Descriptor.Size
		index.Manifests = append(index.Manifests, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: d, Size: size})
	}
	body, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	d := m.add(tag, string(body))
	got := m.manifests[d.String()]
	got.Descriptor.MediaType = ocispec.MediaTypeImageIndex
	m.manifests[d.String()] = got
	return d
}

func TestRecursive(t *testing.T) {
	t.Parallel()
	for _, legacy := range []bool{false, true} {
		repo := newMemory()
		a, b, c := repo.add("a", `{"a":1}`), repo.add("b", `{"b":1}`), repo.add("c", `{"c":1}`)
		inner := repo.addIndex(t, "inner", b, c)
		top := repo.addIndex(t, "v1", a, inner, a)
		r, err := sign.Sign(t.Context(), repo, reference(t, "reg.example/a:v1"), newSigner(t), sign.Options{Recursive: true, Legacy: legacy})
		if err != nil {
			t.Fatal(err)
		}
		var signed []digest.Digest
		for _, im := range r.Images {
			signed = append(signed, im.Subject.Digest)
			if !legacy {
				if _, statement := statementOf(t, repo, im); !strings.Contains(statement, im.Subject.Digest.Encoded()) {
					t.Errorf("the statement for %s is %s", im.Subject.Digest, statement)
				}
			}
		}
		if want := []digest.Digest{a, b, c, inner}; !slices.Equal(signed, want) || r.Subject.Digest != top {
			t.Errorf("legacy %t: signed %v and %s, want %v and %s", legacy, signed, r.Subject.Digest, want, top)
		}
	}
}

func TestRecursiveRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		make  func(*testing.T, *memory)
		want  string
		wraps error
	}{
		{"missing image", func(t *testing.T, m *memory) {
			a := m.add("a", `{"a":1}`)
			m.addIndex(t, "v1", a, digest.FromString("gone"))
		}, "copy it whole", sign.ErrMissing},
		{"wrong size", func(t *testing.T, m *memory) {
			d := m.add("a", `{"a":1}`)
			got := m.manifests[d.String()]
			got.Descriptor.Size++
			m.manifests[d.String()] = got
			m.addIndex(t, "v1", d)
			got.Descriptor.Size--
			m.manifests[d.String()] = got
		}, "has 8 bytes, and it has 7", nil},
		{"broken digest", func(t *testing.T, m *memory) { m.addIndex(t, "v1", "sha256:zz") }, "names the digest", nil},
		{"deep", func(t *testing.T, m *memory) {
			d := m.add("a", `{"a":1}`)
			for i := range 5 {
				d = m.addIndex(t, fmt.Sprintf("i%d", i), d)
			}
			m.tags["v1"] = d.String()
		}, "nests indexes deeper", nil},
		{"many", func(t *testing.T, m *memory) {
			var all []digest.Digest
			for i := range 257 {
				all = append(all, m.add("x", fmt.Sprintf(`{"i":%d}`, i)))
			}
			m.addIndex(t, "v1", all...)
		}, "over 256 images", nil},
		{"not JSON", func(t *testing.T, m *memory) {
			d := m.add("v1", `[`)
			got := m.manifests[d.String()]
			got.Descriptor.MediaType = ocispec.MediaTypeImageIndex
			m.manifests[d.String()] = got
		}, "reading the index", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			repo := newMemory()
			tt.make(t, repo)
			_, err := sign.Sign(t.Context(), repo, reference(t, "reg.example/a:v1"), newSigner(t), sign.Options{Recursive: true})
			if err == nil || !strings.Contains(err.Error(), tt.want) || (tt.wraps != nil && !errors.Is(err, tt.wraps)) {
				t.Fatalf("error %v, want %q", err, tt.want)
			}
			if errors.Is(err, image.ErrNotFound) {
				t.Error("the image that was named is there")
			}
			if len(repo.blobs) != 0 {
				t.Error("something was written")
			}
		})
	}
}
