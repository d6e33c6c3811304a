// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// signed is a kit with one image.
func signed(t *testing.T) (*kit, ocispec.Descriptor) {
	t.Helper()
	k := newKit(t, testregistry.Options{})
	return k, k.image(ours(t, file{name: "a.o", content: "x"}))
}

// refer pushes a referrer of subject with one layer.
func (k *kit) refer(subject ocispec.Descriptor, layerType, content string) ocispec.Descriptor {
	k.t.Helper()
	return k.manifest("", ocispec.Manifest{
		ArtifactType: layerType,
		Config:       k.blob(emptyConfig, []byte("{}")),
		Layers:       []ocispec.Descriptor{k.blob(layerType, []byte(content))},
		Subject:      &subject,
	})
}

// bundlesOf are the contents of the candidates that were fetched, sorted.
func bundlesOf(candidates []Candidate) string {
	var all []string
	for _, c := range candidates {
		if c.Err == nil {
			all = append(all, string(c.Bundle)+string(c.Payload))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func failures(candidates []Candidate) (all []Candidate) {
	for _, c := range candidates {
		if c.Err != nil {
			all = append(all, c)
		}
	}
	return all
}

func TestBundles(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	first := k.refer(m, schemas.MediaTypeBundle, "one")
	k.refer(m, "application/vnd.dev.sigstore.bundle+json;version=0.3", "two")
	k.refer(m, "application/spdx+json", "sbom")
	k.refer(descriptor("x", []byte("another image")), schemas.MediaTypeBundle, "three")
	img := k.mustFetch(Options{})
	if got := bundlesOf(img.Candidates); got != "one two" || len(img.Candidates) != 2 {
		t.Errorf("got %q, %+v", got, img.Candidates)
	}
	i := slices.IndexFunc(img.Candidates, func(c Candidate) bool { return c.Manifest == first.Digest.String() })
	if i < 0 || img.Candidates[i].Kind != KindBundle || img.Candidates[i].Subject != m.Digest.String() {
		t.Errorf("got %+v", img.Candidates)
	}
	if img := k.mustFetch(Options{SkipCandidates: true}); len(img.Candidates) != 0 {
		t.Errorf("skipped, and got %+v", img.Candidates)
	}
}

func TestBundlesThroughTheFallbackTag(t *testing.T) {
	t.Parallel()
	k := newKit(t, testregistry.Options{NoReferrers: true})
	m := k.image(ours(t, file{name: "a.o", content: "x"}))
	k.index("sha256-"+m.Digest.Encoded(), k.refer(m, schemas.MediaTypeBundle, "one"))
	if got := bundlesOf(k.mustFetch(Options{}).Candidates); got != "one" {
		t.Errorf("got %q", got)
	}
}

// A registry's word for what kind a referrer is counts for nothing.
func TestBundlesWhateverTheirArtifactType(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	k.manifest("", ocispec.Manifest{
		Config:  k.blob(ocispec.MediaTypeImageConfig, []byte("{}")),
		Layers:  []ocispec.Descriptor{k.blob("text/plain", []byte("x")), k.blob(schemas.MediaTypeBundle, []byte("one"))},
		Subject: &m,
	})
	if got := bundlesOf(k.mustFetch(Options{}).Candidates); got != "one" {
		t.Errorf("got %q", got)
	}
}

// One bad referrer must not hide a good one.
func TestBadReferrers(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", maxBundle+1)
	for name, row := range map[string]struct {
		bad  func(*kit, ocispec.Descriptor) ocispec.Descriptor
		want error
		text string
	}{
		"bundle over the limit": {func(k *kit, m ocispec.Descriptor) ocispec.Descriptor {
			return k.refer(m, schemas.MediaTypeBundle, big)
		}, image.ErrTooLarge, "bundle"},
		"bundle is missing": {func(k *kit, m ocispec.Descriptor) ocispec.Descriptor {
			missing := descriptor(schemas.MediaTypeBundle, []byte("missing"))
			return k.manifest("", ocispec.Manifest{Config: missing, Layers: []ocispec.Descriptor{missing}, Subject: &m})
		}, image.ErrNotFound, ""},
		"manifest over the limit": {func(k *kit, m ocispec.Descriptor) ocispec.Descriptor {
			return k.manifest("", ocispec.Manifest{
				Config: descriptor("x", nil), Subject: &m, Annotations: map[string]string{"junk": strings.Repeat("x", maxReferrerManifest)},
			})
		}, image.ErrTooLarge, "manifest"},
		"manifest is broken": {func(k *kit, m ocispec.Descriptor) ocispec.Descriptor {
			return k.document("", ocispec.MediaTypeImageManifest, []byte(`{"schemaVersion":2,"subject":`+string(toJSON(k.t, m))+`,"config":{"digest":"x"}}`))
		}, ErrBadImage, "sha256:"},
	} {
		t.Run(name, func(t *testing.T) {
			k, m := signed(t)
			bad := row.bad(k, m)
			k.refer(m, schemas.MediaTypeBundle, "good")
			img := k.mustFetch(Options{})
			bads := failures(img.Candidates)
			if bundlesOf(img.Candidates) != "good" || len(bads) != 1 {
				t.Fatalf("got %+v", img.Candidates)
			}
			if !errors.Is(bads[0].Err, row.want) || !strings.Contains(bads[0].Err.Error(), row.text) || bads[0].Manifest != bad.Digest.String() {
				t.Errorf("got %+v", bads[0])
			}
		})
	}
}

// lists is a registry that answers referrers requests with what it is told.
func lists(k *kit, entries ...ocispec.Descriptor) http.Handler {
	body := toJSON(k.t, ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: entries})
	return testregistry.Fault{Path: "/referrers/", Do: testregistry.Replace(body)}.Wrap(k.registry)
}

func TestLyingReferrersLists(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	one := k.refer(m, schemas.MediaTypeBundle, "good")
	foreign := k.refer(descriptor("x", []byte("another image")), schemas.MediaTypeBundle, "foreign")
	wrongSize, noSize, huge := one, one, foreign
	wrongSize.Size--
	noSize.Size = 0
	huge.Size = maxReferrerManifest + maxBundle + 1
	for name, row := range map[string]struct {
		listed ocispec.Descriptor
		want   error
	}{
		"of another image": {foreign, ErrBadImage},
		"of another size":  {wrongSize, nil},
		"of no size":       {noSize, nil},
		"far too large":    {huge, image.ErrTooLarge},
		"that is missing":  {descriptor(ocispec.MediaTypeImageManifest, []byte("x")), image.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			entries := []ocispec.Descriptor{row.listed}
			const want = "good"
			if row.listed.Digest != one.Digest {
				entries = append(entries, one)
			}
			img, err := Fetch(t.Context(), source(t, lists(k, entries...)), k.ref, Options{})
			if err != nil {
				t.Fatal(err)
			}
			bad := failures(img.Candidates)
			if bundlesOf(img.Candidates) != want || (row.want != nil) != (len(bad) == 1) || len(bad) == 1 && !errors.Is(bad[0].Err, row.want) {
				t.Errorf("got %+v", img.Candidates)
			}
		})
	}
}

func TestReferrersListFails(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	h := testregistry.Fault{Path: "/referrers/", Do: testregistry.Status(500, "no")}.Wrap(k.registry)
	img, err := Fetch(t.Context(), source(t, h), k.ref, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(img.Candidates) != 1 || img.Candidates[0].Err == nil || img.Candidates[0].Subject != m.Digest.String() {
		t.Errorf("got %+v", img.Candidates)
	}
}

func TestManyReferrers(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	k.refer(m, schemas.MediaTypeBundle, "good")
	for name, do := range map[string]testregistry.Action{
		"ten thousand": testregistry.ManyReferrers(20, 9980),
		"endless":      testregistry.EndlessReferrers(),
	} {
		t.Run(name, func(t *testing.T) {
			recorder := &testregistry.Recorder{}
			h := recorder.Wrap(testregistry.Fault{Path: "/referrers/", Do: do}.Wrap(k.registry))
			img, err := Fetch(t.Context(), source(t, h), k.ref, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if len(img.Candidates) > MaxCandidates+1 || recorder.Count("", "") > 2*MaxCandidates {
				t.Errorf("%d candidates after %d requests", len(img.Candidates), recorder.Count("", ""))
			}
			if name == "ten thousand" && bundlesOf(img.Candidates) != "good" {
				t.Errorf("the good one is hidden: %+v", img.Candidates)
			}
		})
	}
}

// What a list says of its entries decides about their order, and nothing else.
func TestLikelyFirst(t *testing.T) {
	t.Parallel()
	const provenance, vuln = "https://slsa.dev/provenance/v1", "https://cosign.sigstore.dev/attestation/vuln/v1"
	entry := func(name, artifactType, predicate string) job {
		d := descriptor(ocispec.MediaTypeImageManifest, []byte(name))
		d.ArtifactType = artifactType
		if predicate != "" {
			d.Annotations = map[string]string{annotationPredicate: predicate}
		}
		return job{desc: d}
	}
	names := map[digest.Digest]string{}
	for _, n := range []string{"sbom", "vuln", "hidden", "plain", "provenance", "config", "sign"} {
		names[digest.FromString(n)] = n
	}
	for _, row := range []struct {
		want Wanted
		text string
	}{
		{Wanted{Signature: true}, "sign .sig hidden plain config .att sbom vuln provenance"},
		{Wanted{Signature: true, Predicates: []string{provenance}}, "provenance sign .sig .att hidden plain config sbom vuln"},
		{Wanted{Predicates: []string{vuln}}, "vuln .att hidden plain config .sig sbom provenance sign"},
	} {
		jobs := []job{
			{form: legacyForms[0]},
			{form: legacyForms[1]},
			entry("sbom", "application/spdx+json", ""),
			entry("vuln", schemas.MediaTypeBundle, vuln),
			entry("hidden", schemas.MediaTypeBundle, ""),
			entry("plain", "", ""),
			entry("provenance", "", provenance),
			entry("config", ocispec.MediaTypeEmptyJSON, ""),
			entry("sign", "application/octet-stream", schemas.PredicateCosignSign),
		}
		likelyFirst(jobs, row.want)
		var got []string
		for _, j := range jobs {
			if j.form != nil {
				got = append(got, j.form.suffix)
			} else {
				got = append(got, names[j.desc.Digest])
			}
		}
		if text := strings.Join(got, " "); text != row.text {
			t.Errorf("%+v: got %s, want %s", row.want, text, row.text)
		}
	}
}

// Large bundles share a budget that small ones, such as signatures, do not need.
func TestLargeBundlesDoNotCrowdOutSmallOnes(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	const size = maxBundle - 10
	for i := range maxLargeBundles/maxBundle + 2 {
		k.refer(m, schemas.MediaTypeBundle, strings.Repeat(string(rune('a'+i)), size))
	}
	k.refer(m, schemas.MediaTypeBundle, "good")
	img := k.mustFetch(Options{})
	small, large := 0, 0
	for _, c := range img.Candidates {
		switch {
		case string(c.Bundle) == "good":
			small++
		case len(c.Bundle) == size:
			large++
		case !errors.Is(c.Err, image.ErrTooLarge):
			t.Errorf("got %+v", c)
		}
	}
	if small != 1 || large > maxLargeBundles/size || large == 0 {
		t.Errorf("%d small and %d large ones", small, large)
	}
}

// cosignTag is where cosign 2 looks (sigstore/cosign, specs/SIGNATURE_SPEC.md).
func cosignTag(d digest.Digest) string { return strings.Replace(d.String(), ":", "-", 1) + ".sig" }

func TestLegacy(t *testing.T) {
	t.Parallel()
	k, m := signed(t)
	layer := func(content, mediaType string, annotation int) ocispec.Descriptor {
		l := k.blob(mediaType, []byte(content))
		l.Annotations = map[string]string{schemas.AnnotationCosignSignature: strings.Repeat("s", annotation)}
		return l
	}
	manifest := ocispec.Manifest{Config: k.blob(ocispec.MediaTypeImageConfig, []byte("{}")), Layers: []ocispec.Descriptor{
		layer("good", schemas.MediaTypeSimpleSigning, 4),
		layer("other type", "text/plain", 4),
		layer(strings.Repeat("x", maxPayload+1), schemas.MediaTypeSimpleSigning, 4),
		layer("annotated", schemas.MediaTypeSimpleSigning, maxAnnotations),
		layer("also good", schemas.MediaTypeSimpleSigning, 4),
	}}
	pushed := k.manifest(cosignTag(m.Digest), manifest)
	img := k.mustFetch(Options{})
	if got := bundlesOf(img.Candidates); got != "also good good" || len(failures(img.Candidates)) != 3 {
		t.Errorf("got %q of %+v", got, img.Candidates)
	}
	first := img.Candidates[0]
	if first.Kind != KindLegacy || first.Manifest != pushed.Digest.String() || first.Subject != m.Digest.String() || first.Annotations[schemas.AnnotationCosignSignature] != "ssss" {
		t.Errorf("got %+v", first)
	}

	for len(manifest.Layers) < maxLegacy+7 {
		manifest.Layers = append(manifest.Layers, manifest.Layers[0])
	}
	k.manifest(cosignTag(m.Digest), manifest)
	img = k.mustFetch(Options{})
	if last := img.Candidates[len(img.Candidates)-1]; len(img.Candidates) != maxLegacy+1 || !errors.Is(last.Err, image.ErrTooLarge) || !strings.Contains(last.Err.Error(), "7 more") {
		t.Errorf("%d candidates, the last is %+v", len(img.Candidates), last)
	}

	k.index(cosignTag(m.Digest), m)
	if bad := failures(k.mustFetch(Options{}).Candidates); len(bad) != 1 || !errors.Is(bad[0].Err, ErrBadImage) {
		t.Errorf("an index for signatures: %+v", bad)
	}
}

// Signatures of the index count for the image as well.
func TestCandidatesOfIndexAndImage(t *testing.T) {
	t.Parallel()
	k := newKit(t, testregistry.Options{})
	p := ours(t, file{name: "a.o", content: "x"})
	p.tag = ""
	child := k.image(p)
	root := k.index("v1", child)
	k.refer(child, schemas.MediaTypeBundle, "image-bundle")
	k.refer(root, schemas.MediaTypeBundle, "index-bundle")
	for d, payload := range map[digest.Digest]string{child.Digest: "image-legacy", root.Digest: "index-legacy"} {
		k.manifest(cosignTag(d), ocispec.Manifest{
			Config: k.blob(ocispec.MediaTypeImageConfig, []byte("{}")), Layers: []ocispec.Descriptor{k.blob(schemas.MediaTypeSimpleSigning, []byte(payload))},
		})
	}
	img := k.mustFetch(Options{})
	if got := bundlesOf(img.Candidates); got != "image-bundle image-legacy index-bundle index-legacy" {
		t.Errorf("got %q", got)
	}
}

// A referrer that never comes must not hold up the image for ever, nor hide
// another one.
func TestCandidatesHaveADeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, m := signed(t)
		hangs := k.refer(m, schemas.MediaTypeBundle, "never")
		k.refer(m, schemas.MediaTypeBundle, "good")
		h := testregistry.Fault{Path: "/manifests/" + hangs.Digest.String(), Do: testregistry.Hang()}.Wrap(k.registry)
		begin := time.Now()
		img, err := Fetch(t.Context(), source(t, h), k.ref, Options{CandidateTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		if bad := failures(img.Candidates); len(bad) != 1 || !errors.Is(bad[0].Err, context.DeadlineExceeded) || bundlesOf(img.Candidates) != "good" {
			t.Errorf("got %+v", img.Candidates)
		}
		if took := time.Since(begin); took != time.Minute {
			t.Errorf("took %s of the bubble's time", took)
		}
	})
}
