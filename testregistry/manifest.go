// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// manifestHead is what the registry reads of a manifest or index.
type manifestHead struct {
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType"`
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
	Subject      *ocispec.Descriptor  `json:"subject"`
	Annotations  map[string]string    `json:"annotations"`
}

// artifactKind is the artifactType a referrers list shows: the manifest's own
// or, without one, its config's media type (OCI distribution spec, "Listing
// Referrers").
func (h manifestHead) artifactKind() string {
	if h.ArtifactType == "" && h.Config != nil {
		return h.Config.MediaType
	}
	return h.ArtifactType
}

func (r *Registry) serveManifest(w http.ResponseWriter, req *http.Request, rt route) *apiError {
	switch {
	case isRead(req.Method):
		return r.getManifest(w, req, rt)
	case req.Method == http.MethodPut:
		return r.putManifest(w, req, rt)
	case req.Method == http.MethodDelete:
		found, err := r.store.deleteManifest(rt.name, rt.target)
		if err != nil {
			return internal(err)
		}
		if !found {
			return unknownManifest(rt)
		}
		w.WriteHeader(http.StatusAccepted)
		return nil
	}
	return errMethod(req)
}

func unknownManifest(rt route) *apiError {
	return refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", "%s has no manifest %s", rt.name, rt.target)
}

func (r *Registry) getManifest(w http.ResponseWriter, req *http.Request, rt route) *apiError {
	m := r.store.manifest(rt.name, rt.target)
	if m == nil {
		return unknownManifest(rt)
	}
	w.Header().Set("Content-Type", m.mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(m.data)))
	w.Header().Set("Docker-Content-Digest", m.digest.String())
	w.WriteHeader(http.StatusOK)
	if req.Method == http.MethodGet {
		_, _ = w.Write(m.data) // the client is gone, nobody to tell
	}
	return nil
}

func (r *Registry) putManifest(w http.ResponseWriter, req *http.Request, rt route) *apiError {
	data, apiErr := readBody(req, r.opts.MaxManifest)
	if apiErr != nil {
		return apiErr
	}
	m, err := acceptManifest(req.Header.Get("Content-Type"), data)
	if err != nil {
		return refuse(http.StatusBadRequest, "MANIFEST_INVALID", "%v", err)
	}
	tags, apiErr := nameManifest(rt.target, req.URL.Query()["tag"], m)
	if apiErr != nil {
		return apiErr
	}
	if !r.opts.AcceptIncomplete {
		if err := r.checkComplete(rt.name, m.head); err != nil {
			return err
		}
	}
	if err := r.store.putManifest(rt.name, tags, m); err != nil {
		return internal(fmt.Errorf("storing the manifest: %w", err))
	}
	if m.head.Subject != nil && !r.opts.NoReferrers {
		w.Header().Set("OCI-Subject", m.head.Subject.Digest.String())
	}
	if wholeDigest().MatchString(rt.target) {
		for _, tag := range tags {
			w.Header().Add("OCI-Tag", tag)
		}
	}
	w.Header().Set("Location", "/v2/"+rt.name+"/manifests/"+m.digest.String())
	w.Header().Set("Docker-Content-Digest", m.digest.String())
	w.WriteHeader(http.StatusCreated)
	return nil
}

// maxTagParams bounds the tags that come with one manifest; the specification asks for
// 10 at least.
const maxTagParams = 64

// nameManifest gives m the digest it is put by, which may be of either algorithm, and
// returns its tags: those of the query or, of a manifest put by its tag, that one.
func nameManifest(target string, more []string, m *storedManifest) (tags []string, _ *apiError) {
	if !wholeDigest().MatchString(target) {
		return []string{target}, nil
	}
	d := digest.Digest(target)
	if m.digest = d.Algorithm().FromBytes(m.data); m.digest != d {
		return nil, refuse(http.StatusBadRequest, "DIGEST_INVALID", "the manifest's digest is %s", m.digest)
	}
	if len(more) > maxTagParams {
		return nil, refuse(http.StatusRequestURITooLong, "TAG_INVALID", "at most %d tags come with a manifest", maxTagParams)
	}
	for _, tag := range more {
		if !wholeTag().MatchString(tag) {
			return nil, refuse(http.StatusBadRequest, "TAG_INVALID", "%q is not a tag", tag)
		}
	}
	return more, nil
}

// acceptManifest takes any JSON object whose two names for its type agree.
func acceptManifest(contentType string, data []byte) (*storedManifest, error) {
	var head manifestHead
	if err := boundedjson.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("the manifest is not JSON: %w", err)
	}
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return nil, fmt.Errorf("the Content-Type %q is none: %w", contentType, err)
	}
	if head.MediaType != "" && head.MediaType != mediaType {
		return nil, fmt.Errorf("the manifest says it is %q, its Content-Type %q", head.MediaType, mediaType)
	}
	return newStored(mediaType, digest.FromBytes(data), data), nil
}

// checkComplete refuses a manifest whose parts were not pushed before it. A
// subject may be missing (OCI distribution spec, "Pushing Manifests with
// Subject").
func (r *Registry) checkComplete(name string, head manifestHead) *apiError {
	blobs := head.Layers
	if head.Config != nil {
		blobs = append(blobs[:len(blobs):len(blobs)], *head.Config)
	}
	for _, b := range blobs {
		if strings.Contains(b.MediaType, "nondistributable") || strings.Contains(b.MediaType, ".foreign.") {
			continue // lives elsewhere on purpose
		}
		if !r.store.hasBlob(name, b.Digest) {
			return refuse(http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", "push blob %q first", b.Digest)
		}
	}
	for _, child := range head.Manifests {
		if r.store.manifest(name, child.Digest.String()) == nil {
			return refuse(http.StatusNotFound, "MANIFEST_UNKNOWN", "push manifest %q first", child.Digest)
		}
	}
	return nil
}

// readBody reads a request's body of at most limit bytes. With one that is cut it
// returns what arrived beside the error.
func readBody(req *http.Request, limit int64) ([]byte, *apiError) {
	if req.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	data, err := io.ReadAll(io.LimitReader(req.Body, limit+1))
	if err != nil {
		return data[:min(int64(len(data)), limit)], refuse(http.StatusBadRequest, "SIZE_INVALID", "the request ended early: %v", err)
	}
	if int64(len(data)) > limit {
		return nil, tooLarge(limit)
	}
	return data, nil
}

func tooLarge(limit int64) *apiError {
	return refuse(http.StatusRequestEntityTooLarge, "SIZE_INVALID", "at most %d bytes are accepted", limit)
}
