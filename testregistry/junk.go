// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// junkPage is how many entries a page of [EndlessReferrers] has.
const junkPage = 100

// ManyReferrers answers a referrers request with the real referrers between so
// many made up ones, which look like signatures and do not exist.
func ManyReferrers(before, after int) Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := newCapture()
		next.ServeHTTP(answer, r)
		var real ocispec.Index
		if err := boundedjson.Unmarshal(answer.body.Bytes(), &real); err != nil {
			writeError(w, internal(err))
			return
		}
		list := append(junk(0, before), real.Manifests...)
		list = append(list, junk(before, after)...)
		writeReferrers(w, list)
	}
}

// EndlessReferrers answers every referrers request with a page of made up
// entries and a link to yet another page.
func EndlessReferrers() Action {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		page, err := strconv.Atoi(r.URL.Query().Get("page"))
		if err != nil {
			page = 0 // the first request
		}
		linkNext(w, r.URL.Path, url.Values{"page": {strconv.Itoa(page + 1)}})
		writeReferrers(w, junk(page*junkPage, junkPage))
	}
}

func writeReferrers(w http.ResponseWriter, list []ocispec.Descriptor) {
	if err := writeJSON(w, ocispec.MediaTypeImageIndex, referrersIndex(list)); err != nil {
		writeError(w, err)
	}
}

// junk makes n descriptors, different ones for different numbers.
func junk(first, n int) []ocispec.Descriptor {
	list := make([]ocispec.Descriptor, 0, n)
	for i := first; i < first+n; i++ {
		list = append(list, ocispec.Descriptor{
			MediaType:    ocispec.MediaTypeImageManifest,
			ArtifactType: schemas.MediaTypeBundle,
			Digest:       digest.FromString("junk " + strconv.Itoa(i)),
			Size:         700,
		})
	}
	return list
}
