// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func (r *Registry) serveTags(w http.ResponseWriter, req *http.Request, rt route) *apiError {
	if !isRead(req.Method) {
		return errMethod(req)
	}
	all, ok := r.store.tags(rt.name)
	if !ok {
		return refuse(http.StatusNotFound, "NAME_UNKNOWN", "there is no repository %s", rt.name)
	}
	page, err := r.page(w, req, all)
	if err != nil {
		return err
	}
	return writeJSON(w, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{rt.name, page})
}

func (r *Registry) serveCatalog(w http.ResponseWriter, req *http.Request) *apiError {
	if !isRead(req.Method) {
		return errMethod(req)
	}
	page, err := r.page(w, req, r.store.names())
	if err != nil {
		return err
	}
	return writeJSON(w, "application/json", struct {
		Repositories []string `json:"repositories"`
	}{page})
}

// page is the part of the sorted list that the query's "n" and "last" ask for;
// a Link header leads to the next.
func (r *Registry) page(w http.ResponseWriter, req *http.Request, all []string) ([]string, *apiError) {
	size := r.opts.PageSize
	if text := req.URL.Query().Get("n"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return nil, refuse(http.StatusBadRequest, "UNSUPPORTED", "n=%q is not a count", text)
		}
		size = min(size, n)
	}
	start := 0
	if last := req.URL.Query().Get("last"); last != "" {
		i, found := slices.BinarySearch(all, last)
		if start = i; found {
			start++
		}
	}
	rest := all[start:]
	if len(rest) > size && size > 0 {
		linkNext(w, req.URL.Path, url.Values{"n": {strconv.Itoa(size)}, "last": {rest[size-1]}})
	}
	page := rest[:min(size, len(rest))]
	if page == nil {
		page = []string{} // "null" is not a list
	}
	return page, nil
}

// linkNext points to the next page (RFC 8288).
func linkNext(w http.ResponseWriter, path string, query url.Values) {
	w.Header().Set("Link", fmt.Sprintf(`<%s?%s>; rel="next"`, path, query.Encode()))
}

// serveReferrers answers an unknown repository with an empty list: 404 would
// mean that the API itself is missing.
func (r *Registry) serveReferrers(w http.ResponseWriter, req *http.Request, rt route) *apiError {
	if !isRead(req.Method) {
		return errMethod(req)
	}
	list := r.store.referrers(rt.name, digest.Digest(rt.target))
	query := req.URL.Query()
	if kind := query.Get("artifactType"); kind != "" {
		list = slices.DeleteFunc(list, func(d ocispec.Descriptor) bool { return d.ArtifactType != kind })
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	if last := query.Get("last"); last != "" {
		list = slices.DeleteFunc(list, func(d ocispec.Descriptor) bool { return d.Digest.String() <= last })
	}
	if len(list) > r.opts.PageSize {
		list = list[:r.opts.PageSize]
		query.Set("last", list[len(list)-1].Digest.String())
		linkNext(w, req.URL.Path, query)
	}
	return writeJSON(w, ocispec.MediaTypeImageIndex, referrersIndex(list))
}

func referrersIndex(list []ocispec.Descriptor) ocispec.Index {
	return ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispec.MediaTypeImageIndex,
		Manifests: list,
	}
}
