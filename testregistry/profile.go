// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"net/http"
	"time"
)

// Profile is how the registry of one vendor differs from the specification, as far
// as it is publicly known. It is made of deviations, which stand one behind the other
// before the registry proper; each names where it is known from. Vendors change, and
// so a profile is an example to test clients with, and no promise.
//
// Where a profile wants a login, any user name and password will do. A repository
// below "missing/" was never created where they have to be, one below "readonly/" is
// read-only where there is such a thing.
type Profile struct {
	// Name is what [ProfileNamed] finds it by.
	Name string
	// About is one line.
	About string

	options    func(*Options)
	deviations []deviation
}

// deviation is one way of a vendor: a handler before next. State that it keeps is
// that of one registry.
type deviation func(r *Registry, next http.Handler) http.Handler

// wrap puts the profile before next, the first deviation outermost.
func (p Profile) wrap(r *Registry, next http.Handler) http.Handler {
	for i := len(p.deviations) - 1; i >= 0; i-- {
		next = p.deviations[i](r, next)
	}
	return next
}

// ProfileNamed finds a profile.
func ProfileNamed(name string) (p Profile, ok bool) {
	for _, p := range Profiles() {
		if p.Name == name {
			return p, true
		}
	}
	return Profile{}, false
}

// Profiles are all there are.
func Profiles() []Profile {
	noReferrers := func(o *Options) { o.NoReferrers = true }
	return []Profile{
		{
			Name: "gitlab", About: "list of media types, no referrers API, fallback tag is the image itself",
			options:    noReferrers,
			deviations: []deviation{login(gitlabLogin), knownTypes(gitlabTypes), tagIsSubject},
		},
		{
			Name: "gitlab-old", About: "the same, before sigstore bundles were on the list",
			options:    noReferrers,
			deviations: []deviation{login(gitlabLogin), knownTypes(gitlabOldTypes), tagIsSubject},
		},
		{
			Name: "ghcr", About: "chunks up to 4 MiB, no referrers API, no deletions",
			options: noReferrers,
			deviations: []deviation{
				referrersOnSite, login(ghcrLogin), rateLimit(50), maxPatch(4<<20, "4.00MiB"),
				refuseDelete("The operation is unsupported."),
			},
		},
		{
			Name: "hub-2024", About: "says that it lists referrers and does not; a subject must exist",
			options:    noReferrers,
			deviations: []deviation{login(hubLogin), pullLimit, subjectExists, saysSubject(true), refuseDelete("The operation is unsupported.")},
		},
		{
			Name: "hub-immutable", About: "tags cannot be moved (403)",
			deviations: []deviation{login(hubLogin), pullLimit, immutable(immutableHub), refuseDelete("The operation is unsupported.")},
		},
		{
			Name: "ecr", About: "Basic only, PATCH answers 201 and a Range that stands still, strict JSON, repositories are created first",
			deviations: ecrDeviations(),
		},
		{
			Name: "ecr-immutable", About: "the same; tags cannot be moved (400)",
			deviations: append(ecrDeviations(), immutable(immutableECR)),
		},
		{
			Name: "ecr-exclusion", About: "the same; tags cannot be moved, except sha256-*",
			deviations: append(ecrDeviations(), immutable(immutableECRExcept)),
		},
		{
			Name: "acr-cmk", About: "a registry with customer-managed keys: no referrers API",
			options:    noReferrers,
			deviations: []deviation{storage(storageAzure), login(acrLogin), redirectBlobs},
		},
		{
			Name: "gar", About: "no chunks; lists of referrers are late, their sizes wrong; tags cannot be moved",
			options:    func(o *Options) { o.NoChunks = true },
			deviations: []deviation{login(garLogin), lateReferrers, listLies(garEntry), immutable(immutableGAR)},
		},
		{
			Name: "quay", About: "no OCI-Subject, 404 for the referrers of what it has not, fallback tags are merged",
			deviations: []deviation{
				login(quayLogin), alwaysDetail, readOnly, saysSubject(false), mergeFallback, quaySubjectUnknown,
				quayTypes, quayChildren, temporaryTags(time.Hour), rangeTooHigh,
			},
		},
		{
			Name: "harbor-2.8", About: "referrers as application/json, with wrong sizes and types; no OCI-Subject; immutable signature tags (412)",
			deviations: harborDeviations(saysSubject(false), listAs("application/json"), listLies(harborEntry)),
		},
		{
			Name: "harbor-2.10", About: "the same with OCI-Subject",
			deviations: harborDeviations(listAs("application/json"), listLies(harborEntry)),
		},
		{
			Name: "harbor-2.13", About: "an empty object for the referrers of what it has not; immutable signature tags (412)",
			deviations: harborDeviations(emptyObject, filterHoldsType),
		},
		{
			Name: "artifactory", About: "403 for missing tags, 400 for overwritten ones, HEAD finds blobs that GET does not",
			deviations: []deviation{missingTagDenied, immutable(immutableArtifactory), headLies},
		},
		{
			Name: "nexus-noredeploy", About: "assets cannot be written twice (400), not even under another tag; no referrers API",
			options:    noReferrers,
			deviations: []deviation{noRedeploy},
		},
		{
			Name: "do-gc", About: "garbage collection begins after the first tag: no more logins for writing",
			options:    noReferrers,
			deviations: []deviation{collecting(doLogin)},
		},
		{
			Name: "gitea", About: "tags in lower case, indexes of images only, no referrers API",
			options: func(o *Options) {
				o.NoReferrers = true
				o.MaxManifest = 16 << 20 // its own limit is below
			},
			deviations: []deviation{login(giteaLogin), lowerTags, giteaManifest, giteaUpload, etag},
		},
		{
			Name: "distribution-classes", About: "policy.repository.classes: images only (403); no referrers API, no deletions",
			options:    noReferrers,
			deviations: []deviation{imagesOnly, refuseDelete("The operation is unsupported."), etag},
		},
		{
			Name: "cloudflare", About: "chunks of 5 to 100 MiB, malformed Link, no Content-Type of blobs, no referrers API",
			options:    func(o *Options) { o.NoReferrers, o.MinChunk = true, 5<<20 },
			deviations: []deviation{login(cloudflareLogin), maxChunk(100_000_000), bareLink, noBlobType, typeWanted},
		},
	}
}

// ecrDeviations are those of Amazon's private registry, in whatever mode of tags.
func ecrDeviations() []deviation {
	return []deviation{storage(storageS3), login(ecrLogin), repositoryExists, redirectBlobs, strictJSON, frozenRange}
}

// harborDeviations adds what all versions have in common.
func harborDeviations(own ...deviation) []deviation {
	return append([]deviation{login(harborLogin)}, append(own, immutable(immutableHarbor), digestDelete, shorterHead, etag)...)
}
