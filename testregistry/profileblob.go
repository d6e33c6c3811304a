// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
)

// storageAnswer is how an object store refuses a second way to log in.
type storageAnswer struct{ contentType, body string }

var (
	// open-policy-agent/opa#6580
	storageS3 = storageAnswer{"application/xml", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		`<Error><Code>InvalidArgument</Code><Message>Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or the Authorization header should be specified</Message></Error>`}
	// Azure/acr#217
	storageAzure = storageAnswer{"application/xml", `<?xml version="1.0" encoding="utf-8"?>` + "\n" +
		`<Error><Code>InvalidAuthenticationInfo</Code><Message>Authentication information is not given in the correct format. Check the value of Authorization header.</Message></Error>`}
)

// storagePath is where the objects are.
const storagePath = "/storage"

// storage is the object store that [redirectBlobs] sends to. It stands before the login.
func storage(s storageAnswer) deviation {
	return func(r *Registry, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			path, ok := strings.CutPrefix(req.URL.Path, storagePath)
			switch {
			case !ok:
				next.ServeHTTP(w, req)
			case req.Header.Get("Authorization") != "" || req.URL.Query().Get("signature") == "":
				w.Header().Set("Content-Type", s.contentType)
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(s.body)) // the client is gone, nobody to tell
			case parseRoute(path).kind != kindBlob:
				http.NotFound(w, req)
			default:
				object := req.Clone(req.Context())
				object.URL.Path, object.URL.RawQuery = path, ""
				r.serve(w, object)
			}
		})
	}
}

// redirectBlobs sends those who read a blob to the object store, below another name of
// this server (Amazon: open-policy-agent/opa#6728; Azure/acr#217).
var redirectBlobs = on(kindBlob, http.MethodGet, func(r *Registry, w http.ResponseWriter, a asked, next http.Handler) {
	if !r.store.hasBlob(a.name, digest.Digest(a.target)) {
		next.ServeHTTP(w, a.Request)
		return
	}
	w.Header().Set("Location", otherHost(a.Request)+storagePath+a.URL.Path+"?signature=test")
	w.WriteHeader(http.StatusTemporaryRedirect)
})

// headLies: HEAD finds a blob of any repository, GET those of its own. A client that
// believes HEAD does not upload it, and cannot push the manifest then
// (gardener/cc-utils#1752; zot: project-zot/zot#2977).
var headLies = on(kindBlob, http.MethodHead, func(r *Registry, w http.ResponseWriter, a asked, next http.Handler) {
	found := a.Clone(a.Context())
	for _, name := range r.store.names() {
		if r.store.hasBlob(name, digest.Digest(a.target)) {
			found.URL.Path = "/v2/" + name + "/blobs/" + a.target
			break
		}
	}
	next.ServeHTTP(w, found)
})

// noBlobType: Cloudflare's serverless-registry says nothing of a blob's type (its
// src/router.ts).
var noBlobType = on(kindBlob, "GET HEAD", func(_ *Registry, w http.ResponseWriter, a asked, next http.Handler) {
	answer := newCapture()
	next.ServeHTTP(answer, a.Request)
	answer.header["Content-Type"] = nil // keeps net/http from guessing
	answer.replay(w)
	if a.Method == http.MethodGet {
		_, _ = w.Write(answer.body.Bytes()) // the client is gone, nobody to tell
	}
})

// maxPatch is GHCR's limit of a chunk, in bytes: a PATCH with a Content-Range. No header
// announces it; in one piece, or in one PATCH without a range, a blob may be of any
// size (oras-project/rust-oci-client#35 of 2022, ocx-sh/ocx#237 of 2026).
func maxPatch(limit int64, text string) deviation {
	return refusing(kindUpload, http.MethodPatch, func(_ *Registry, a asked) *apiError {
		if a.Header.Get("Content-Range") == "" || int64(len(peek(a.Request, limit))) <= limit {
			return nil
		}
		return refuse(http.StatusRequestedRangeNotSatisfiable, "REQUESTED_RANGE_NOT_SATISFIABLE", "the request body is too large and exceeds the maximum permissible limit of %s", text)
	})
}

// maxChunk announces the largest chunk as Cloudflare's serverless-registry does and
// holds to it (its src/router.ts; the header is not in the specification).
func maxChunk(limit int64) deviation {
	return on(kindUpload, "POST PATCH", func(_ *Registry, w http.ResponseWriter, a asked, next http.Handler) {
		if a.Method == http.MethodPatch && a.ContentLength > limit {
			writeError(w, refuse(http.StatusRequestEntityTooLarge, "BLOB_UPLOAD_INVALID", "a chunk has at most %d bytes", limit))
			return
		}
		w.Header().Set("OCI-Chunk-Max-Length", strconv.FormatInt(limit, 10))
		next.ServeHTTP(w, a.Request)
	})
}

// frozenRange: Amazon answers 201 to a PATCH, and its Range stays where the first one
// brought it, although nothing is lost (openai/tart#273, crashappsec/chalk#682,
// aws/containers-roadmap#2831).
func frozenRange(r *Registry, next http.Handler) http.Handler {
	var mu sync.Mutex
	first := map[string]string{}
	return answering(kindUpload, "PATCH GET PUT DELETE", func(_ *Registry, a asked, answer *capture) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case a.Method == http.MethodPut || a.Method == http.MethodDelete:
			delete(first, a.target)
			return
		case answer.status >= http.StatusBadRequest:
			return
		case a.Method == http.MethodPatch:
			answer.status = http.StatusCreated
			if first[a.target] == "" {
				first[a.target] = answer.header.Get("Range")
			}
		}
		if first[a.target] != "" {
			answer.header.Set("Range", first[a.target])
		}
	})(r, next)
}

// rangeTooHigh: asked how far an upload is, Quay counts one byte too many (its
// endpoints/v2/blob.py).
var rangeTooHigh = answering(kindUpload, http.MethodGet, func(_ *Registry, _ asked, answer *capture) {
	if last, err := strconv.Atoi(strings.TrimPrefix(answer.header.Get("Range"), "0-")); err == nil && answer.status == http.StatusNoContent {
		answer.header.Set("Range", "0-"+strconv.Itoa(last+1))
	}
})

// giteaUpload: after the first PATCH all others must say where they go (its
// services/packages/container).
var giteaUpload = refusing(kindUpload, http.MethodPatch, func(r *Registry, a asked) *apiError {
	up := r.uploads.get(a.name, a.target)
	if up == nil || a.Header.Get("Content-Range") != "" {
		return nil
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	if len(up.data) == 0 {
		return nil
	}
	return refuse(http.StatusBadRequest, "BLOB_UPLOAD_INVALID", "Stream uploads after first write are not allowed")
})
