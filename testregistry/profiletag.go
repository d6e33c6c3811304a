// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
	"github.com/opencontainers/go-digest"
)

// fallbackName is what the fallback tag of a digest looks like (OCI distribution spec,
// "Referrers Tag Schema").
var fallbackName = lazyregexp.New(`^sha256-[a-f0-9]{64}$`)

// at is the request for something else of the same kind in the repository.
func (a asked) at(target string) *http.Request {
	moved := a.Clone(a.Context())
	i := strings.LastIndexByte(a.URL.Path, '/')
	moved.URL = &url.URL{Path: a.URL.Path[:i+1] + target, RawQuery: a.URL.RawQuery}
	return moved
}

// tagIsSubject: on GitLab, "sha256-<hex>" names the manifest of that digest
// (oras-project/oras-go#1396, #1403). What a client writes there is never seen again,
// and what it deletes there is the image. What a PUT is answered with is not known;
// here it is taken, and changes nothing.
var tagIsSubject = on(kindManifest, "", func(r *Registry, w http.ResponseWriter, a asked, next http.Handler) {
	if fallbackName().MatchString(a.target) {
		subject := strings.Replace(a.target, "-", ":", 1)
		if a.Method != http.MethodPut && r.store.manifest(a.name, subject) != nil {
			next.ServeHTTP(w, a.at(subject))
			return
		}
	}
	next.ServeHTTP(w, a.Request)
})

// rule is how a vendor refuses to move a tag.
type rule struct {
	// applies to these tags; nil: to all.
	applies func(tag string) bool
	// same: writing what is there already is refused, too.
	same    bool
	refusal func(name, tag string) *apiError
}

func attachmentTag(tag string) bool { return strings.HasPrefix(tag, "sha256-") }

// The vendors' rules.
var (
	// docker/hub-feedback#2466; the words are not known.
	immutableHub = rule{same: true, refusal: func(_, tag string) *apiError {
		return refuse(http.StatusForbidden, "DENIED", "tag %s is immutable", tag)
	}}
	// aws/containers-roadmap#862
	immutableECR = rule{refusal: func(name, tag string) *apiError {
		return refuse(http.StatusBadRequest, "TAG_INVALID", "The image tag '%s' already exists in the '%s' repository and cannot be overwritten because the repository is immutable.", tag, name)
	}}
	// IMMUTABLE_WITH_EXCLUSION with the wildcard that attachments need
	// (open-bank-oss#9029).
	immutableECRExcept = rule{applies: func(tag string) bool { return !attachmentTag(tag) }, refusal: immutableECR.refusal}
	// The API's immutableTags; the code is that of an emulator (cloudemu#1037).
	immutableGAR = rule{refusal: func(_, tag string) *apiError {
		return refuse(http.StatusBadRequest, "FAILED_PRECONDITION", "cannot update tag %s: the repository has immutable tags", tag)
	}}
	// goharbor/harbor#17332, with a rule for the tags of attachments
	immutableHarbor = rule{applies: attachmentTag, refusal: func(name, tag string) *apiError {
		return refuse(http.StatusPreconditionFailed, "PRECONDITION", "Failed to process request due to '%s:%s' configured as immutable.", name, tag)
	}}
	// GoogleContainerTools/kaniko#1095, sigstore/cosign#3758
	immutableArtifactory = rule{refusal: func(_, _ string) *apiError {
		err := refuse(http.StatusBadRequest, "MANIFEST_INVALID", "manifest invalid")
		err.detail = map[string]string{"description": "HTTP 403 Forbidden"}
		return err
	}}
)

// immutable refuses to move tags.
func immutable(ru rule) deviation {
	return refusingManifest(func(r *Registry, p pushed) *apiError {
		if p.tag == "" || ru.applies != nil && !ru.applies(p.tag) {
			return nil
		}
		there := r.store.manifest(p.name, p.tag)
		if there == nil || !ru.same && there.digest == digest.FromBytes(p.data) {
			return nil
		}
		return ru.refusal(p.name, p.tag)
	})
}

// noRedeploy is Sonatype Nexus with "disable redeploy": a manifest that is there is
// refused even under a new tag (GoogleContainerTools/jib#2395, #3057).
var noRedeploy = refusingManifest(func(r *Registry, p pushed) *apiError {
	if r.store.manifest(p.name, digest.FromBytes(p.data).String()) == nil && (p.tag == "" || r.store.manifest(p.name, p.tag) == nil) {
		return nil
	}
	err := refuse(http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "blob upload invalid")
	err.detail = "Repository does not allow updating assets: docker-hosted"
	return err
})

// lowerTags: Gitea keeps tags in lower case, so that those that differ in case alone
// are one.
var lowerTags = on(kindManifest, "", func(_ *Registry, w http.ResponseWriter, a asked, next http.Handler) {
	next.ServeHTTP(w, a.at(strings.ToLower(a.target)))
})

// missingTagDenied: a tag that is not there is denied by Artifactory where one of the
// repositories behind a virtual one is closed (sigstore/cosign#2973,
// google/go-containerregistry#1691).
var missingTagDenied = refusing(kindManifest, "GET HEAD", func(r *Registry, a asked) *apiError {
	if wholeDigest().MatchString(a.target) || r.store.manifest(a.name, a.target) != nil {
		return nil
	}
	err := refuse(http.StatusForbidden, "UNAUTHORIZED", "The client does not have permission for manifest: Download request for repo:path 'docker-local:%s/%s/manifest.json' is forbidden for user: 'test'.", a.name, a.target)
	err.detail = map[string]string{"manifest": a.name + "/" + a.target}
	return err
})

// refuseDelete: manifests stay (GHCR: containers/skopeo#1880; Docker Hub:
// hub-feedback#2360; distribution unless delete.enabled).
func refuseDelete(message string) deviation {
	return refusing(kindManifest, http.MethodDelete, func(*Registry, asked) *apiError {
		return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "%s", message)
	})
}

// digestDelete: Harbor deletes by digest only (its source).
var digestDelete = refusing(kindManifest, http.MethodDelete, func(_ *Registry, a asked) *apiError {
	if wholeDigest().MatchString(a.target) {
		return nil
	}
	return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "tags cannot be deleted, only digests")
})

// shorterHead: a HEAD has the length of the compressed manifest, which a GET without
// compression has not (oras-project/oras-go#1176).
var shorterHead = answering(kindManifest, http.MethodHead, func(_ *Registry, _ asked, answer *capture) {
	if n, err := strconv.Atoi(answer.header.Get("Content-Length")); err == nil && answer.status == http.StatusOK {
		answer.header.Set("Content-Length", strconv.Itoa(n/2))
	}
})

// etag: the digest in quotes, and 304 to those who have it (distribution, Harbor and
// Gitea, in their sources).
var etag = on(kindManifest, "GET HEAD", func(r *Registry, w http.ResponseWriter, a asked, next http.Handler) {
	if m := r.store.manifest(a.name, a.target); m != nil {
		quoted := strconv.Quote(m.digest.String())
		w.Header().Set("ETag", quoted)
		if has := a.Header.Get("If-None-Match"); has == quoted || has == m.digest.String() {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	next.ServeHTTP(w, a.Request)
})

// temporaryTags: what is pushed by digest only is forgotten by Quay after a while,
// unless an index or a referrer leads to it (PUSH_TEMP_TAG_EXPIRATION_SEC; helm/helm#31348).
func temporaryTags(life time.Duration) deviation {
	return func(r *Registry, next http.Handler) http.Handler {
		var mu sync.Mutex
		until := map[string]time.Time{}
		pushes := refusingManifest(func(_ *Registry, p pushed) *apiError {
			mu.Lock()
			defer mu.Unlock()
			own := p.name + "@" + digest.FromBytes(p.data).String()
			delete(until, own)
			if p.tag == "" && p.head.Subject == nil {
				until[own] = time.Now().Add(life)
			}
			for _, child := range p.head.Manifests {
				delete(until, p.name+"@"+child.Digest.String())
			}
			return nil
		})
		reads := refusing(kindManifest, "GET HEAD", func(_ *Registry, a asked) *apiError {
			mu.Lock()
			defer mu.Unlock()
			if end, ok := until[a.name+"@"+a.target]; ok && !time.Now().Before(end) {
				return unknownManifest(a.route)
			}
			return nil
		})
		return pushes(r, reads(r, next))
	}
}

// bareLink: Cloudflare's serverless-registry leaves the angle brackets of a link out
// (its src/router.ts).
var bareLink = answering(kindTags, "", func(_ *Registry, a asked, answer *capture) {
	if target, _, found := strings.Cut(strings.TrimPrefix(answer.header.Get("Link"), "<"), ">"); found {
		answer.header.Set("Link", baseURL(a.Request)+target+"; rel=next")
	}
})

// pullLimit are the headers of Docker Hub's limit of pulls (its docs).
var pullLimit = on(kindManifest, "GET HEAD", func(_ *Registry, w http.ResponseWriter, a asked, next http.Handler) {
	w.Header().Set("RateLimit-Limit", "100;w=21600")
	w.Header().Set("RateLimit-Remaining", "76;w=21600")
	next.ServeHTTP(w, a.Request)
})

// rateLimit answers every n-th request to read a manifest as GHCR does at its limit: a
// Go duration in the message and no Retry-After (dependabot/cli#380,
// falcosecurity/plugins#1069).
func rateLimit(n int) deviation {
	return func(r *Registry, next http.Handler) http.Handler {
		var mu sync.Mutex
		seen := 0
		return refusing(kindManifest, "GET HEAD", func(*Registry, asked) *apiError {
			mu.Lock()
			defer mu.Unlock()
			if seen++; seen%n != 0 {
				return nil
			}
			return refuse(http.StatusTooManyRequests, "TOOMANYREQUESTS", "retry-after: 880.092µs, allowed: 44000/minute")
		})(r, next)
	}
}
