// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
)

// kind is what a request is about.
type kind int

const (
	kindUnknown kind = iota
	kindPing
	kindCatalog
	kindTags
	kindManifest
	kindBlob
	kindUpload
	kindReferrers
)

// route is a parsed request path. Its strings match the patterns below, and
// still none of them ever becomes a path on disk.
type route struct {
	kind kind
	// name is the repository; target the tag, digest or upload id.
	name, target string
}

// The OCI distribution spec's grammar (spec.md, "Pulling manifests"); names are
// limited to 255 characters as clients do.
const (
	namePattern = `([a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)`
	tagPattern  = `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
	// digestPattern has the registered algorithms (OCI image spec, descriptor.md).
	digestPattern = `(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})`
	maxName       = 255
)

// pattern is how a kind of request looks.
type pattern struct {
	kind   kind
	regexp *regexp.Regexp
}

// routes are compiled at the first request: the package is linked into a command
// that hardly ever serves, and should start as quickly without.
var routes = sync.OnceValue(func() []pattern {
	return []pattern{
		{kindPing, regexp.MustCompile(`^/v2/?$`)},
		{kindCatalog, regexp.MustCompile(`^/v2/_catalog$`)},
		{kindTags, regexp.MustCompile(`^/v2/` + namePattern + `/tags/list$`)},
		{kindManifest, regexp.MustCompile(`^/v2/` + namePattern + `/manifests/(` + tagPattern + `|` + digestPattern + `)$`)},
		{kindUpload, regexp.MustCompile(`^/v2/` + namePattern + `/blobs/uploads/([a-f0-9]{32})?$`)},
		{kindUpload, regexp.MustCompile(`^/v2/` + namePattern + `/blobs/uploads$`)},
		{kindBlob, regexp.MustCompile(`^/v2/` + namePattern + `/blobs/(` + digestPattern + `)$`)},
		{kindReferrers, regexp.MustCompile(`^/v2/` + namePattern + `/referrers/(` + digestPattern + `)$`)},
	}
})

var (
	wholeName   = lazyregexp.New(`^` + namePattern + `$`)
	wholeDigest = lazyregexp.New(`^` + digestPattern + `$`)
	wholeTag    = lazyregexp.New(`^` + tagPattern + `$`)
	// roughly is what a path looks like whose name, tag or digest is malformed.
	roughly = lazyregexp.New(`^/v2/(.+)/(manifests|blobs|referrers|tags)/([^/]+)$`)
)

func parseRoute(path string) route {
	for _, r := range routes() {
		m := r.regexp.FindStringSubmatch(path)
		if m == nil {
			continue
		}
		parsed := route{kind: r.kind}
		if len(m) > 1 {
			parsed.name = m[1]
		}
		if len(m) > 2 {
			parsed.target = m[2]
		}
		if len(parsed.name) > maxName {
			return route{}
		}
		return parsed
	}
	return route{}
}

// refusePath says what is wrong with a path that is no [route]. Who asks for what
// cannot be there is told that it is not (404); who writes, that it cannot be.
func refusePath(method, path string) *apiError {
	unknown := http.StatusNotFound
	if !isRead(method) {
		unknown = http.StatusBadRequest
	}
	m := roughly().FindStringSubmatch(path)
	switch {
	case m == nil:
		return refuse(http.StatusNotFound, "NAME_INVALID", "no such resource: %q", path)
	case len(m[1]) > maxName || !wholeName().MatchString(m[1]):
		return refuse(unknown, "NAME_INVALID", "%q is not the name of a repository", m[1])
	case m[2] == "tags":
		return refuse(http.StatusNotFound, "NAME_INVALID", "no such resource: %q", path)
	case m[2] != "manifests" || strings.Contains(m[3], ":"):
		return refuse(http.StatusBadRequest, "DIGEST_INVALID", "%q is not %s", m[3], digestForms)
	}
	return refuse(unknown, "TAG_INVALID", "%q is not a tag", m[3])
}

// digestForms is what a digest looks like, for people.
const digestForms = "sha256: with 64 or sha512: with 128 lower-case hex digits"

func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }
