// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/bpfimg/bpfimg/internal/lazyregexp"
	"github.com/opencontainers/go-digest"
)

// serveUpload is the upload protocol (OCI distribution spec, "Pushing blobs"):
// in one request, in two, or in parts, and the mount from another repository.
func (r *Registry) serveUpload(w http.ResponseWriter, req *http.Request, rt route) *apiError {
	if rt.target == "" {
		if req.Method != http.MethodPost {
			return errMethod(req)
		}
		return r.startUpload(w, req, rt.name)
	}
	up := r.uploads.get(rt.name, rt.target)
	if up == nil {
		return refuse(http.StatusNotFound, "BLOB_UPLOAD_UNKNOWN", "there is no such upload in %s; start again", rt.name)
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	switch req.Method {
	case http.MethodGet:
		answerUpload(w, rt.name, rt.target, int64(len(up.data)), http.StatusNoContent)
		return nil
	case http.MethodDelete:
		r.uploads.end(rt.target)
		w.WriteHeader(http.StatusNoContent)
		return nil
	case http.MethodPatch:
		if r.opts.NoChunks {
			return errMethod(req)
		}
		if err := r.appendChunk(req, rt.target, up); err != nil {
			return err
		}
		answerUpload(w, rt.name, rt.target, int64(len(up.data)), http.StatusAccepted)
		return nil
	case http.MethodPut:
		return r.finishUpload(w, req, rt, up)
	}
	return errMethod(req)
}

// startUpload also serves the two ways that need no second request.
func (r *Registry) startUpload(w http.ResponseWriter, req *http.Request, name string) *apiError {
	query := req.URL.Query()
	if mount := query.Get("mount"); mount != "" {
		from, d := query.Get("from"), digest.Digest(mount)
		if content := r.store.blob(from, d); content != "" && wholeName().MatchString(from) && wholeDigest().MatchString(mount) {
			return r.blobIsThere(w, name, d, content)
		}
		// Not there: the client has to upload it.
	} else if text := query.Get("digest"); text != "" {
		d, err := queryDigest(text)
		if err != nil {
			return err
		}
		data, err := readBody(req, r.opts.MaxBlob)
		if err != nil {
			return err
		}
		return r.putBlob(w, req, name, d, data)
	}
	if r.opts.MinChunk > 0 {
		w.Header().Set("OCI-Chunk-Min-Length", strconv.FormatInt(r.opts.MinChunk, 10))
	}
	answerUpload(w, name, r.uploads.start(name), 0, http.StatusAccepted)
	return nil
}

// answerUpload says how far an upload is. The spec has no way to say "0 bytes";
// registries write 0-0.
func answerUpload(w http.ResponseWriter, name, id string, size int64, status int) {
	w.Header().Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	w.Header().Set("Range", fmt.Sprintf("0-%d", max(0, size-1)))
	w.Header().Set("Docker-Upload-Uuid", id)
	w.WriteHeader(status)
}

var contentRange = lazyregexp.New(`^(?:bytes )?(\d{1,18})-(\d{1,18})(?:/.*)?$`)

// appendChunk adds a part that others may follow. One that is too short can be
// the last, which is seen only when another one follows.
func (r *Registry) appendChunk(req *http.Request, id string, up *upload) *apiError {
	if up.short {
		return refuse(http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "all chunks but the last have %d bytes or more", r.opts.MinChunk)
	}
	before := int64(len(up.data))
	err := r.appendPart(req, id, up)
	up.short = err == nil && int64(len(up.data))-before < r.opts.MinChunk
	return err
}

// appendPart adds the request's body. The caller holds up.mu.
func (r *Registry) appendPart(req *http.Request, id string, up *upload) *apiError {
	have := int64(len(up.data))
	if text := req.Header.Get("Content-Range"); text != "" {
		m := contentRange().FindStringSubmatch(text)
		if m == nil || m[1] != strconv.FormatInt(have, 10) {
			return refuse(http.StatusRequestedRangeNotSatisfiable, "BLOB_UPLOAD_INVALID", "the next byte is %d, not %q", have, text)
		}
	}
	part, err := readBody(req, r.opts.MaxBlob-have)
	// What arrived before the connection was cut is kept, as distribution does, so
	// that a client can ask how much that is and go on after it.
	up.data = append(up.data, part...)
	r.uploads.grow(id, int64(len(part)))
	return err
}

// finishUpload stores the blob. The caller holds up.mu.
func (r *Registry) finishUpload(w http.ResponseWriter, req *http.Request, rt route, up *upload) *apiError {
	d, err := queryDigest(req.URL.Query().Get("digest"))
	if err != nil {
		return err
	}
	if err := r.appendPart(req, rt.target, up); err != nil {
		return err
	}
	// Whatever comes of it, this upload is over.
	r.uploads.end(rt.target)
	return r.putBlob(w, req, rt.name, d, up.data)
}

func queryDigest(text string) (digest.Digest, *apiError) {
	if !wholeDigest().MatchString(text) {
		return "", refuse(http.StatusBadRequest, "DIGEST_INVALID", "%q is not %s", text, digestForms)
	}
	return digest.Digest(text), nil
}
