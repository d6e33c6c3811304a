// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"strings"
	"testing"
)

// TestAttachedElsewhere: what is attached is written to, and read from, the other
// repository alone, on registries with the referrers API and without.
func TestAttachedElsewhere(t *testing.T) {
	t.Parallel()
	for _, hasAPI := range []bool{true, false} {
		host, _ := newRegistryServer(t, true)
		others, rec := newRegistryServer(t, hasAPI)
		r := testClient(t, RegistryOptions{})
		a, err := NewAttachedElsewhere(r, others+"/signatures")
		if err != nil {
			t.Fatal(err)
		}
		im := newImage(t, "image", nil)
		ref := mustParse(t, host+"/a:v1")
		im.put(t, r, ref)
		subject := ref.WithDigest(im.manifest.Descriptor.Digest.String())
		sig, legacy := referrerOf(t, im.manifest, "bundle"), newImage(t, "legacy", nil)
		tag := fallbackTag(subject).withSuffix(".sig")
		sig.put(t, a, subject.WithDigest(sig.manifest.Descriptor.Digest.String()))
		legacy.put(t, a, tag)

		// By who has written, and by who comes later.
		later, err := NewAttachedElsewhere(r, others+"/signatures")
		if err != nil {
			t.Fatal(err)
		}
		for _, src := range []Source{a, later} {
			im.check(t, src, ref)
			list, err := src.Referrers(t.Context(), subject)
			if err != nil || len(list) != 1 {
				t.Fatalf("got %v, %v", list, err)
			}
			sig.check(t, src, subject.WithDigest(list[0].Digest.String()))
			legacy.check(t, src, tag)
		}
		if list, err := r.Referrers(t.Context(), subject); err != nil || len(list) != 0 {
			t.Errorf("beside the image: %v, %v", list, err)
		}
		if _, err := r.Manifest(t.Context(), tag); !errors.Is(err, ErrNotFound) {
			t.Errorf("beside the image: %v", err)
		}
		for _, request := range rec.requests("") {
			if path := strings.Fields(request)[1]; path != "/v2/" && !strings.HasPrefix(path, "/v2/signatures/") {
				t.Errorf("asked for %s", request)
			}
		}
		// A copy takes them along to where the image goes.
		s := newStore(t)
		if _, err := Copy(t.Context(), s, ref, later, ref, CopyOptions{Referrers: true}); err != nil {
			t.Fatal(err)
		}
		legacy.check(t, s, tag)
		if list, err := s.Referrers(t.Context(), subject); err != nil || len(list) != 1 {
			t.Errorf("in the store: %v, %v", list, err)
		}
	}
	for _, bad := range []string{"a:v1", "localhost/a@" + someDigest, "UPPER", "https://a/b", " "} {
		if _, err := NewAttachedElsewhere(nil, bad); !errors.Is(err, ErrReference) {
			t.Errorf("%q: got %v", bad, err)
		}
	}
}
