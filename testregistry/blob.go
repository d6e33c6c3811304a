// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
	"github.com/opencontainers/go-digest"
)

func (r *Registry) serveBlob(w http.ResponseWriter, req *http.Request, rt route) *apiError {
	d := digest.Digest(rt.target)
	content := r.store.blob(rt.name, d)
	switch {
	case !isRead(req.Method) && req.Method != http.MethodDelete:
		return errMethod(req)
	case content == "":
		return unknownBlob(rt.name, d)
	case req.Method == http.MethodDelete:
		// Only this repository forgets it; another one may have it too.
		if _, err := r.store.unlinkBlob(rt.name, d); err != nil {
			return internal(err)
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	kept := req.Clone(req.Context())
	kept.URL.Path = "/v2/" + rt.name + "/blobs/" + content.String()
	fitted, err := r.fitRange(kept)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	r.blobs.ServeHTTP(&namedBlob{w, d}, fitted)
	return nil
}

// namedBlob gives a blob the digest it was asked for by: go-containerregistry knows
// all of them by SHA-256.
type namedBlob struct {
	http.ResponseWriter
	digest digest.Digest
}

// WriteHeader implements [http.ResponseWriter].
func (n *namedBlob) WriteHeader(status int) {
	if n.Header().Get("Docker-Content-Digest") != "" {
		n.Header().Set("Docker-Content-Digest", n.digest.String())
	}
	n.ResponseWriter.WriteHeader(status)
}

func unknownBlob(name string, d digest.Digest) *apiError {
	return refuse(http.StatusNotFound, "BLOB_UNKNOWN", "%s has no blob %s", name, d)
}

var byteRange = lazyregexp.New(`^bytes=(\d{1,18})-(\d{0,18})$`)

// fitRange makes the range fit the blob: clients resume a download with an open
// end ("bytes=5-"), which go-containerregistry does not take. Ranges of other
// forms are dropped, as RFC 9110 allows (14.2).
func (r *Registry) fitRange(req *http.Request) (*http.Request, *apiError) {
	m := byteRange().FindStringSubmatch(req.Header.Get("Range"))
	fitted := req.Clone(req.Context())
	fitted.Header.Del("Range")
	if m == nil {
		return fitted, nil
	}
	head := fitted.Clone(req.Context())
	head.Method = http.MethodHead
	answer := newCapture()
	r.blobs.ServeHTTP(answer, head)
	size, err := strconv.ParseInt(answer.header.Get("Content-Length"), 10, 64)
	if err != nil {
		return fitted, nil // damaged; let the answer say so
	}
	start, _ := strconv.ParseInt(m[1], 10, 64) // 18 digits always fit
	end, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil || end >= size {
		end = size - 1
	}
	if start > end {
		return nil, refuse(http.StatusRequestedRangeNotSatisfiable, "BLOB_UNKNOWN", "the blob has %d bytes", size)
	}
	fitted.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", start, end))
	return fitted, nil
}

// putBlob checks data against d and stores it in the repository.
func (r *Registry) putBlob(w http.ResponseWriter, req *http.Request, name string, d digest.Digest, data []byte) *apiError {
	if got := d.Algorithm().FromBytes(data); got != d {
		return refuse(http.StatusBadRequest, "DIGEST_INVALID", "the blob's digest is %s", got)
	}
	content := digest.FromBytes(data)
	put, err := http.NewRequestWithContext(req.Context(), http.MethodPost,
		"/v2/"+name+"/blobs/uploads/?digest="+content.String(), bytes.NewReader(data))
	if err != nil {
		return internal(err)
	}
	answer := newCapture()
	r.blobs.ServeHTTP(answer, put)
	if answer.status != http.StatusCreated {
		return refuse(http.StatusInternalServerError, "BLOB_UPLOAD_INVALID", "storing the blob: %s", answer.body.Bytes())
	}
	return r.blobIsThere(w, name, d, content)
}

// blobIsThere links a stored blob, content by its SHA-256, into the repository as d
// and says so.
func (r *Registry) blobIsThere(w http.ResponseWriter, name string, d, content digest.Digest) *apiError {
	if err := r.store.linkBlob(name, d, content); err != nil {
		return internal(fmt.Errorf("storing the blob: %w", err))
	}
	w.Header().Set("Location", "/v2/"+name+"/blobs/"+d.String())
	w.Header().Set("Docker-Content-Digest", d.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}
