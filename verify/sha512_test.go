// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package verify

import (
	"errors"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/pull"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
)

// named512 gives the image the digest of SHA-512, by which it may have been asked for.
func named512(img *pull.Image) {
	img.Manifest.Descriptor.Digest = digest.SHA512.FromBytes(img.Manifest.Bytes)
	img.Root = img.Manifest
}

func statement512(d string) string {
	return `{"_type":"` + statementType + `","subject":[{"digest":{"sha512":"` + strings.TrimPrefix(d, "sha512:") +
		`"}}],"predicateType":"` + schemas.PredicateCosignSign + `","predicate":{}}`
}

// TestSHA512: a signature for the very digest the image was asked for by is one.
func TestSHA512(t *testing.T) {
	t.Parallel()
	key, img := newKey(t), newImage(t)
	named512(img)
	img.Candidates = []pull.Candidate{candidateOf(key.envelope(t, inToto, statement512(digestOf(img))))}
	v, err := Check(t.Context(), img, Keys{key.Key})
	if err != nil || v.Digest() != digestOf(img) || !strings.HasPrefix(v.Digest(), "sha512:") {
		t.Fatalf("%v, %v", v, err)
	}
}

// TestDeniedByEitherDigest: what is revoked by one digest is not to be had by asking for
// the other one.
func TestDeniedByEitherDigest(t *testing.T) {
	t.Parallel()
	key := newKey(t)
	for _, asked := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, by := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
			for _, what := range []string{"manifest", "object"} {
				img := newImage(t)
				if asked == digest.SHA512 {
					named512(img)
				}
				data := img.Manifest.Bytes
				if what == "object" {
					data = img.Objects[0].Bytes
				}
				_, err := Check(t.Context(), img, denying{Keys{key.Key}, by.FromBytes(data).String()})
				if !errors.Is(err, errDenied) {
					t.Errorf("asked by %s, the %s denied by %s: %v", asked, what, by, err)
				}
			}
		}
	}
}

// denying is a trust that has revoked one digest.
type denying struct {
	Keys
	digest string
}

func (d denying) Denied(id string) bool { return id == d.digest }

// TestDenyListDecides: of what only one digest is recorded, a list of the other kind says
// nothing.
func TestDenyListDecides(t *testing.T) {
	t.Parallel()
	short, long := "sha256:"+strings.Repeat("0", 64), "sha512:"+strings.Repeat("0", 128)
	for _, row := range []struct {
		list     denyList
		recorded []string
		want     bool
	}{
		{nil, []string{long, ""}, true},
		{denyList{short: true}, []string{short, ""}, true},
		{denyList{short: true}, []string{long, ""}, false},
		{denyList{long: true}, []string{short, ""}, false},
		{denyList{long: true}, []string{long, short}, false},
		{denyList{short: true, long: true}, []string{short, ""}, false},
	} {
		if got := row.list.decides(row.recorded...); got != row.want {
			t.Errorf("%v of %v: %t", row.list, row.recorded, got)
		}
	}
}
