// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// saysSubject makes the registry say that it lists a referrer, or keep quiet, whatever
// it does. Docker Hub said so in 2024 without the API (docker/hub-feedback#2372); Quay
// and Harbor 2.8 have the API and say nothing (distribution-spec#563, goharbor/harbor#18865).
func saysSubject(says bool) deviation {
	return on(kindManifest, http.MethodPut, func(r *Registry, w http.ResponseWriter, a asked, next http.Handler) {
		var head manifestHead
		_ = boundedjson.Unmarshal(peek(a.Request, r.opts.MaxManifest), &head) // the registry proper refuses it
		answer := newCapture()
		next.ServeHTTP(answer, a.Request)
		answer.header.Del("OCI-Subject")
		if says && head.Subject != nil && answer.status == http.StatusCreated {
			answer.header.Set("OCI-Subject", head.Subject.Digest.String())
		}
		answer.replay(w)
		_, _ = w.Write(answer.body.Bytes()) // the client is gone, nobody to tell
	})
}

// subjectExists: a subject had to be there, against the specification
// (docker/hub-feedback#2307, #2372).
var subjectExists = refusingManifest(func(r *Registry, p pushed) *apiError {
	if p.head.Subject == nil || r.store.manifest(p.name, p.head.Subject.Digest.String()) != nil {
		return nil
	}
	return refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
})

// referrersOnSite: GHCR sends those without a token to its web site, with the digest
// cut at the colon; there is nothing (project-zot/zot#4060, artifacthub/hub#4785). With
// a token it answers 404. The site is another name of this server. This stands before
// the login.
func referrersOnSite(_ *Registry, next http.Handler) http.Handler {
	const site = "/-/v2/packages/"
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		rt := parseRoute(req.URL.Path)
		switch {
		case strings.HasPrefix(req.URL.Path, site):
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Set-Cookie", "_gh_sess=x; path=/; secure; HttpOnly")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte("Not Found")) // the client is gone, nobody to tell
		case rt.kind == kindReferrers && req.Header.Get("Authorization") == "":
			algorithm, _, _ := strings.Cut(rt.target, ":")
			w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
			w.Header().Set("Location", otherHost(req)+site+"container/package/"+strings.ReplaceAll(rt.name, "/", "%2F")+"%2Freferrers%2F"+algorithm)
			w.WriteHeader(http.StatusSeeOther)
		default:
			next.ServeHTTP(w, req)
		}
	})
}

// listed lets change have the list of a page of referrers.
func listed(change func(r *Registry, a asked, list []ocispec.Descriptor) []ocispec.Descriptor) deviation {
	return answering(kindReferrers, http.MethodGet, func(r *Registry, a asked, answer *capture) {
		var index ocispec.Index
		if answer.status != http.StatusOK || boundedjson.Unmarshal(answer.body.Bytes(), &index) != nil {
			return
		}
		if body, err := json.Marshal(referrersIndex(change(r, a, index.Manifests))); err == nil {
			answer.setBody(body)
		}
	})
}

// listAs is the Content-Type of the list: application/json before Harbor 2.11
// (goharbor/harbor#19690).
func listAs(contentType string) deviation {
	return answering(kindReferrers, http.MethodGet, func(_ *Registry, _ asked, answer *capture) {
		if answer.status == http.StatusOK {
			answer.header.Set("Content-Type", contentType)
		}
	})
}

// listLies changes what the list says of each referrer.
func listLies(lie func(entry *ocispec.Descriptor, m *storedManifest)) deviation {
	return listed(func(r *Registry, a asked, list []ocispec.Descriptor) []ocispec.Descriptor {
		for i := range list {
			if m := r.store.manifest(a.name, list[i].Digest.String()); m != nil {
				lie(&list[i], m)
			}
		}
		return list
	})
}

// harborEntry: the type is the config's whatever the manifest says
// (goharbor/harbor#19867), the size the sum of manifest, config and layers (#20187).
func harborEntry(entry *ocispec.Descriptor, m *storedManifest) {
	if m.head.Config != nil {
		entry.ArtifactType = m.head.Config.MediaType
		entry.Size += m.head.Config.Size
	}
	for _, layer := range m.head.Layers {
		entry.Size += layer.Size
	}
}

// garEntry: 521 bytes where the manifest has 739, and no type (oras-project/oras#1626).
func garEntry(entry *ocispec.Descriptor, _ *storedManifest) {
	entry.Size = max(1, entry.Size-218)
	entry.ArtifactType = ""
}

// lateReferrers: the first list after a push does not have it yet. That Google's is
// late is a reading of notation#1222, where a signature was written and not listed.
func lateReferrers(r *Registry, next http.Handler) http.Handler {
	var mu sync.Mutex
	seen := map[digest.Digest]bool{}
	return listed(func(_ *Registry, _ asked, list []ocispec.Descriptor) []ocispec.Descriptor {
		mu.Lock()
		defer mu.Unlock()
		return slices.DeleteFunc(list, func(d ocispec.Descriptor) bool {
			before := seen[d.Digest]
			seen[d.Digest] = true
			return !before
		})
	})(r, next)
}

// mergeFallback: Quay adds what the fallback tag has to its own list (quay/quay#6385).
var mergeFallback = listed(func(r *Registry, a asked, list []ocispec.Descriptor) []ocispec.Descriptor {
	m := r.store.manifest(a.name, strings.Replace(a.target, ":", "-", 1))
	if m == nil {
		return list
	}
	for _, entry := range m.head.Manifests {
		if !slices.ContainsFunc(list, func(d ocispec.Descriptor) bool { return d.Digest == entry.Digest }) {
			list = append(list, entry)
		}
	}
	return list
})

// quaySubjectUnknown: 404 where the specification wants an empty list (its
// endpoints/v2/referrers.py).
var quaySubjectUnknown = refusing(kindReferrers, http.MethodGet, func(r *Registry, a asked) *apiError {
	if _, known := r.store.tags(a.name); !known {
		return refuse(http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry")
	}
	if r.store.manifest(a.name, a.target) == nil {
		return refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
	}
	return nil
})

// emptyObject: Harbor answers "{}" for what it has not (its
// server/registry/referrers.go).
var emptyObject = answering(kindReferrers, http.MethodGet, func(r *Registry, a asked, answer *capture) {
	if answer.status == http.StatusOK && r.store.manifest(a.name, a.target) == nil {
		answer.setBody([]byte("{}"))
	}
})

// filterHoldsType: the header held the type that was asked for, and not the word
// "artifactType" (Harbor's source, one version).
var filterHoldsType = answering(kindReferrers, http.MethodGet, func(_ *Registry, a asked, answer *capture) {
	if answer.header.Get("OCI-Filters-Applied") != "" {
		answer.header.Set("OCI-Filters-Applied", a.URL.Query().Get("artifactType"))
	}
	answer.header.Set("X-Total-Count", fmt.Sprint(strings.Count(answer.body.String(), `"digest":`)))
})
