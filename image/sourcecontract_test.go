// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// nobodysDigest names nothing at any place.
var nobodysDigest = digest.FromString("nobody has this")

// TestSourceContract holds every [image.Source] to its promise: size and digest of
// all it returns are checked.
func TestSourceContract(t *testing.T) {
	t.Parallel()
	for _, p := range places {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			src := p.open(t, f)
			if got := fmt.Sprintf("%T", src); got != p.typ {
				t.Fatalf("got a %s, the table says %s", got, p.typ)
			}
			for round := range 2 { // some remember what they read the first time
				t.Run(fmt.Sprintf("good %d", round+1), func(t *testing.T) { contractGood(t, p, src, f) })
				t.Run(fmt.Sprintf("nobody's %d", round+1), func(t *testing.T) { contractNobodys(t, src, f) })
				t.Run(fmt.Sprintf("wrong descriptor %d", round+1), func(t *testing.T) { contractWrongDescriptor(t, src, f) })
			}
			if !p.noReferrers {
				t.Run("limit", func(t *testing.T) { contractLimit(t, p) })
			}
			t.Run("context", func(t *testing.T) { contractContext(t, p) })
			for what := range f.items() {
				for how, damage := range damages {
					if p.cannot[what] == "" && p.cannot[how] == "" && !(p.noReferrers && what == "referrer") {
						t.Run(what+" with "+how, func(t *testing.T) { contractDamage(t, p, what, damage) })
					}
				}
			}
		})
	}
}

// isGood fails the test unless m is exactly what it should be.
func (it item) isGood(t *testing.T, how string, m image.Manifest, err error) {
	t.Helper()
	if err != nil || !bytes.Equal(m.Bytes, it.good) ||
		m.Descriptor.Digest != it.desc.Digest || m.Descriptor.Size != it.desc.Size || m.Descriptor.MediaType != it.desc.MediaType {
		t.Errorf("manifest by %s: got %+v %q, %v, want %+v", how, m.Descriptor, m.Bytes, err, it.desc)
	}
}

func contractGood(t *testing.T, p place, src image.Source, f *fixture) {
	ref := mustReference(t, name)
	m, err := src.Manifest(t.Context(), ref)
	f.manifest.isGood(t, "tag", m, err)
	byDigest := ref.WithDigest(f.manifest.desc.Digest.String())
	m, err = src.Manifest(t.Context(), byDigest)
	f.manifest.isGood(t, "digest", m, err)
	for _, it := range []item{f.config, f.layer} {
		data, err := src.Blob(t.Context(), ref, it.desc, it.desc.Size) // exactly the limit
		if err != nil || !bytes.Equal(data, it.good) {
			t.Errorf("blob: got %q, %v, want %q", data, err, it.good)
		}
	}
	list, err := src.Referrers(t.Context(), byDigest)
	switch {
	case err != nil:
		t.Errorf("referrers: %v", err)
	case p.noReferrers && len(list) == 0:
	case p.noReferrers || len(list) != 1 || list[0].Digest != f.referrer.desc.Digest || list[0].Size != f.referrer.desc.Size:
		t.Errorf("referrers: got %+v, want %+v alone", list, f.referrer.desc)
	default:
		m, err = src.Manifest(t.Context(), ref.WithDigest(list[0].Digest.String()))
		f.referrer.isGood(t, "the list of referrers", m, err)
	}
}

// contractLimit asks for a manifest that may be a byte too large, and then as large as
// it is.
func contractLimit(t *testing.T, p place) {
	f := newFixture(t)
	src, ref := p.open(t, f), mustReference(t, name).WithDigest(f.referrer.desc.Digest.String())
	m, err := src.Manifest(image.WithManifestLimit(t.Context(), f.referrer.desc.Size-1), ref)
	if !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("over the limit: got %d bytes, %v, want ErrTooLarge", len(m.Bytes), err)
	}
	m, err = src.Manifest(image.WithManifestLimit(t.Context(), f.referrer.desc.Size), ref)
	f.referrer.isGood(t, "a limit", m, err)
}

// contractNobodys asks for what is not there.
func contractNobodys(t *testing.T, src image.Source, f *fixture) {
	ref := mustReference(t, name)
	nobodys := ref.WithDigest(nobodysDigest.String())
	if m, err := src.Manifest(t.Context(), nobodys); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("manifest: got %+v, %v, want ErrNotFound", m, err)
	}
	if data, err := src.Blob(t.Context(), ref, ocispec.Descriptor{Digest: nobodysDigest, Size: 7}, 10); !errors.Is(err, image.ErrNotFound) {
		t.Errorf("blob: got %q, %v, want ErrNotFound", data, err)
	}
	if list, err := src.Referrers(t.Context(), nobodys); err != nil || len(list) != 0 {
		t.Errorf("referrers: got %v, %v, want none", list, err)
	}
	if list, err := src.Referrers(t.Context(), ref); !errors.Is(err, image.ErrReference) {
		t.Errorf("referrers of a tag: got %v, %v, want ErrReference", list, err)
	}
}

// contractWrongDescriptor asks for a blob by a descriptor that it does not fit.
func contractWrongDescriptor(t *testing.T, src image.Source, f *fixture) {
	with := func(desc ocispec.Descriptor, change func(*ocispec.Descriptor)) ocispec.Descriptor {
		change(&desc)
		return desc
	}
	empty := ocispec.DescriptorEmptyJSON
	rows := []struct {
		name  string
		desc  ocispec.Descriptor
		limit int64
		want  error // nil: any
	}{
		{"over the limit", f.layer.desc, f.layer.desc.Size - 1, image.ErrTooLarge},
		{"a byte too short", with(f.layer.desc, func(d *ocispec.Descriptor) { d.Size-- }), image.MaxLayer, nil},
		{"a byte too long", with(f.layer.desc, func(d *ocispec.Descriptor) { d.Size++ }), image.MaxLayer, nil},
		{"of no size", with(f.layer.desc, func(d *ocispec.Descriptor) { d.Size = 0 }), image.MaxLayer, nil},
		{"of a negative size", with(f.layer.desc, func(d *ocispec.Descriptor) { d.Size = -1 }), image.MaxLayer, nil},
		{"without a digest", with(f.layer.desc, func(d *ocispec.Descriptor) { d.Digest = "" }), image.MaxLayer, nil},
		{"the digest of a path", with(f.layer.desc, func(d *ocispec.Descriptor) { d.Digest = "sha256:../../index.json" }), image.MaxLayer, nil},
		{"the empty config, longer", with(empty, func(d *ocispec.Descriptor) { d.Size++ }), image.MaxConfig, nil},
		{"the empty config, over the limit", empty, empty.Size - 1, image.ErrTooLarge},
	}
	for _, row := range rows {
		data, err := src.Blob(t.Context(), mustReference(t, name), row.desc, row.limit)
		if err == nil || row.want != nil && !errors.Is(err, row.want) {
			t.Errorf("%s: got %q, %v, want %v", row.name, data, err, row.want)
		}
	}
}

// contractContext: a context that has ended is noticed by who has nothing yet.
func contractContext(t *testing.T, p place) {
	f := newFixture(t)
	src, ref := p.open(t, f), mustReference(t, name)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, byTag := src.Manifest(ctx, ref)
	_, byDigest := src.Manifest(ctx, ref.WithDigest(f.manifest.desc.Digest.String()))
	_, blob := src.Blob(ctx, ref, f.layer.desc, image.MaxLayer)
	_, referrers := src.Referrers(ctx, ref.WithDigest(f.manifest.desc.Digest.String()))
	for what, err := range map[string]error{"manifest by tag": byTag, "manifest by digest": byDigest, "blob": blob, "referrers": referrers} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want Canceled", what, err)
		}
	}
}

// contractDamage: what does not fit its digest is an error, whichever way it is
// asked for, and however often; or it is got elsewhere.
func contractDamage(t *testing.T, p place, what string, damage func([]byte) []byte) {
	f := newFixture(t)
	damaged := f.items()[what]
	damaged.there = damage(damaged.good)
	src, ref := p.open(t, f), mustReference(t, name)
	for range 2 {
		if what == "config" || what == "layer" {
			data, err := src.Blob(t.Context(), ref, damaged.desc, image.MaxLayer)
			damaged.isRefused(t, p, "blob", data, err)
			continue
		}
		m, err := src.Manifest(t.Context(), ref.WithDigest(damaged.desc.Digest.String()))
		damaged.isRefused(t, p, "manifest by digest", m.Bytes, err)
		if p.heals || what == "referrer" {
			continue // a name is asked of the other place, which is good
		}
		m, err = src.Manifest(t.Context(), ref)
		// What a name means can change, as long as nobody calls it by the old digest.
		if err == nil && (m.Descriptor.Digest == damaged.desc.Digest || digest.FromBytes(m.Bytes) != m.Descriptor.Digest) {
			t.Errorf("manifest by tag: got %q as %s", m.Bytes, m.Descriptor.Digest)
		}
	}
}

func (it item) isRefused(t *testing.T, p place, how string, data []byte, err error) {
	t.Helper()
	switch {
	case p.heals:
		if err != nil || !bytes.Equal(data, it.good) {
			t.Errorf("%s: got %q, %v, want the good one from elsewhere", how, data, err)
		}
	case err == nil:
		t.Errorf("%s: %q was returned as %s", how, data, it.desc.Digest)
	case errors.Is(err, image.ErrNotFound):
		t.Errorf("%s: got %v, but it is there and damaged", how, err)
	}
}
