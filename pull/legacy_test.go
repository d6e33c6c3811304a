// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// attestationTag is where cosign 2 looks (sigstore/cosign,
// specs/ATTESTATION_SPEC.md).
func attestationTag(d digest.Digest) string {
	return strings.Replace(d.String(), ":", "-", 1) + ".att"
}

// layers pushes a manifest at tag with layers of one type.
func (k *kit) layers(tag, mediaType string, contents ...string) ocispec.Descriptor {
	k.t.Helper()
	m := ocispec.Manifest{Config: k.blob(ocispec.MediaTypeImageConfig, []byte(`{"rootfs":{}}`))}
	for _, content := range contents {
		layer := k.blob(mediaType, []byte(content))
		layer.Annotations = map[string]string{"predicateType": "x"}
		m.Layers = append(m.Layers, layer)
	}
	return k.manifest(tag, m)
}

func kinds(candidates []Candidate) (all []CandidateKind) {
	for _, c := range candidates {
		all = append(all, c.Kind)
	}
	return all
}

func TestLegacyAttestations(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	k.layers(cosignTag(m.Digest), schemas.MediaTypeSimpleSigning, "signature")
	pushed := k.layers(attestationTag(m.Digest), schemas.MediaTypeEnvelope,
		strings.Repeat("x", maxBundle+1), "good", strings.Repeat("y", smallBundle+1))
	img := k.mustFetch(Options{})
	if got := kinds(img.Candidates); !slices.Equal(got, []CandidateKind{KindLegacy, KindLegacyAttestation, KindLegacyAttestation, KindLegacyAttestation}) {
		t.Fatalf("got %v", got)
	}
	tooLarge, good, large := img.Candidates[1], img.Candidates[2], img.Candidates[3]
	if !errors.Is(tooLarge.Err, image.ErrTooLarge) || string(good.Payload) != "good" || good.Annotations["predicateType"] != "x" ||
		good.Manifest != pushed.Digest.String() || good.Subject != m.Digest.String() || len(large.Payload) != smallBundle+1 {
		t.Errorf("got %+v", img.Candidates)
	}

	// Each form wants its own media type.
	k.layers(cosignTag(m.Digest), schemas.MediaTypeEnvelope, "good")
	k.layers(attestationTag(m.Digest), schemas.MediaTypeSimpleSigning, "signature")
	if img = k.mustFetch(Options{}); len(failures(img.Candidates)) != 2 || bundlesOf(img.Candidates) != "" {
		t.Errorf("got %+v", img.Candidates)
	}

	many := slices.Repeat([]string{"good"}, maxLegacy+7)
	k.layers(attestationTag(m.Digest), schemas.MediaTypeEnvelope, many...)
	img = k.mustFetch(Options{})
	if last := img.Candidates[len(img.Candidates)-1]; len(img.Candidates) != 1+maxLegacy+1 || !errors.Is(last.Err, image.ErrTooLarge) || !strings.Contains(last.Err.Error(), "7 more attestations") {
		t.Errorf("%d candidates, the last is %+v", len(img.Candidates), last)
	}
}

// Large attestations and large bundles share what there is for both; small ones
// need none of it.
func TestLargeAttestationsShareTheBudget(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	k.refer(m, schemas.MediaTypeBundle, "small")
	large := make([]string, 0, maxLargeBundles/maxBundle+2)
	for i := range maxLargeBundles/maxBundle + 1 {
		content := strings.Repeat(string(rune('a'+i)), maxBundle-10)
		large = append(large, content)
		k.refer(m, schemas.MediaTypeBundle, "bundle "+content[7:])
	}
	k.layers(attestationTag(m.Digest), schemas.MediaTypeEnvelope, append(large, "small too")...)
	var total int
	var small []string
	for _, c := range k.mustFetch(Options{}).Candidates {
		content := string(c.Bundle) + string(c.Payload)
		switch {
		case c.Err != nil && !errors.Is(c.Err, image.ErrTooLarge):
			t.Errorf("got %+v", c)
		case len(content) > smallBundle:
			total += len(content)
		case content != "":
			small = append(small, content)
		}
	}
	if total > maxLargeBundles || total == 0 || !slices.Equal(small, []string{"small", "small too"}) {
		t.Errorf("%d bytes of large ones; small ones are %q", total, small)
	}
}

// What cosign 2 keeps at tags is kept with what was read, and found again without
// the network.
func TestLegacyIsKept(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	k.refer(m, schemas.MediaTypeBundle, "bundle")
	k.layers(cosignTag(m.Digest), schemas.MediaTypeSimpleSigning, "signature")
	k.layers(attestationTag(m.Digest), schemas.MediaTypeEnvelope, "attestation", "another")
	memo := NewMemo(k.src)
	if _, err := Fetch(t.Context(), memo, k.ref, Options{}); err != nil {
		t.Fatal(err)
	}
	memo.Seal()
	store, err := image.OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := image.Copy(t.Context(), store, k.ref, memo, k.ref, image.CopyOptions{Referrers: true, Have: memo.Has}); err != nil {
		t.Fatal(err)
	}
	img, err := Fetch(t.Context(), &Cached{Local: store, Remote: unreachable{}, Offline: true}, k.ref, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := bundlesOf(img.Candidates); got != "another attestation bundle signature" || len(failures(img.Candidates)) != 0 {
		t.Errorf("kept were %q: %+v", got, img.Candidates)
	}
}

// A config that cannot be read takes no signature away.
func TestLegacyWithoutConfig(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	k.layers(cosignTag(m.Digest), schemas.MediaTypeSimpleSigning, "signature")
	config := descriptor("", []byte(`{"rootfs":{}}`)).Digest
	h := testregistry.Fault{Path: "/blobs/" + config.String(), Do: testregistry.Status(500, "no")}.Wrap(k.registry)
	img, err := Fetch(t.Context(), source(t, h), k.ref, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := bundlesOf(img.Candidates); got != "signature" || len(img.Candidates) != 1 {
		t.Errorf("got %+v", img.Candidates)
	}
}
