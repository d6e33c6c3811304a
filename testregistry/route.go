// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"net/http"
	"regexp"
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
	namePattern   = `([a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*)`
	tagPattern    = `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
	digestPattern = `sha256:[a-f0-9]{64}`
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

func isRead(method string) bool { return method == http.MethodGet || method == http.MethodHead }
