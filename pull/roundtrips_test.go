// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	"github.com/bpfimg/bpfimg/testregistry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Waiting for the network is what a cold run costs. The bounds are those of the
// project: six round trips for a single image, the ping included, one more
// through an index.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		index, noReferrers bool
		most               int
	}{
		"image":                           {false, false, 5},
		"index":                           {true, false, 6},
		"image, without the referrer API": {false, true, 6},
		"index, without the referrer API": {true, true, 7},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t, testregistry.Options{NoReferrers: row.noReferrers})
			p := ours(t, file{name: "a.o", content: "x"})
			if row.index {
				p.tag = ""
			}
			subjects := []ocispec.Descriptor{k.image(p)}
			if row.index {
				subjects = append(subjects, k.index("v1", subjects[0]))
			}
			for _, m := range subjects {
				k.index("sha256-"+m.Digest.Encoded(), k.refer(m, schemas.MediaTypeBundle, "one"), k.refer(m, schemas.MediaTypeBundle, "two"))
				k.manifest(cosignTag(m.Digest), ocispec.Manifest{
					Config: k.blob(ocispec.MediaTypeImageConfig, []byte("{}")),
					Layers: []ocispec.Descriptor{k.blob(schemas.MediaTypeSimpleSigning, []byte("three"))},
				})
				k.layers(attestationTag(m.Digest), schemas.MediaTypeEnvelope, "four", "five")
			}
			synctest.Test(t, func(t *testing.T) {
				const latency = time.Second
				recorder := &testregistry.Recorder{}
				slow := testregistry.Fault{Do: testregistry.Delay(latency)}.Wrap(k.registry)
				begin := time.Now()
				img, err := Fetch(t.Context(), source(t, recorder.Wrap(slow)), k.ref, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if want := 5 * len(subjects); len(img.Candidates) != want || len(failures(img.Candidates)) > 0 {
					t.Errorf("got %d candidates, want %d: %+v", len(img.Candidates), want, img.Candidates)
				}
				if got := recorder.RoundTrips(); got > row.most {
					t.Errorf("%d round trips, at most %d: %+v", got, row.most, recorder.Calls())
				}
				if took := time.Since(begin); took != time.Duration(row.most)*latency {
					t.Errorf("took %s of the bubble's time with a latency of %s", took, latency)
				}
			})
		})
	}
}
