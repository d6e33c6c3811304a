// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types that vendors know.
const (
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	helmConfig     = "application/vnd.cncf.helm.config.v1+json"
	bundleType     = "application/vnd.dev.sigstore.bundle.v0.3+json"
)

// What GitLab's registry takes as a config and as an artifactType, the part of it that
// matters here (docs/supported-media-types.md of gitlab-org/container-registry). That
// the list on gitlab.com has sigstore's bundle since 2026 is inferred from its merge
// request 2771; older self-managed ones do not have it.
var (
	gitlabOldTypes = []string{ocispec.MediaTypeImageConfig, dockerConfig, helmConfig, ocispec.MediaTypeEmptyJSON}
	gitlabTypes    = append([]string{bundleType}, gitlabOldTypes...)
)

// knownTypes is GitLab's list: one field changed at a time, an unknown artifactType is
// refused beside the config of an image, and so is an unknown config (ocx-sh/ocx#480,
// grimoire-rs/grimoire#11). The detail is a string.
func knownTypes(known []string) deviation {
	return refusingManifest(func(_ *Registry, p pushed) *apiError {
		types := []string{p.head.ArtifactType}
		if p.head.Config != nil {
			types = append(types, p.head.Config.MediaType)
		}
		for _, t := range types {
			if t != "" && !slices.Contains(known, t) {
				err := refuse(http.StatusBadRequest, "MANIFEST_INVALID", "manifest invalid")
				err.detail = "unknown media type: " + t
				return err
			}
		}
		return nil
	})
}

// imagesOnly is the policy.repository.classes of distribution 3 where it names images
// only (its registry/handlers/manifests.go, applyResourcePolicy). What counts is the
// config, not the artifactType.
var imagesOnly = refusingManifest(func(_ *Registry, p pushed) *apiError {
	if p.head.Config == nil || p.head.Config.MediaType == ocispec.MediaTypeImageConfig || p.head.Config.MediaType == dockerConfig {
		return nil
	}
	return refuse(http.StatusForbidden, "DENIED", "unknown manifest class for %s", p.head.Config.MediaType)
})

// strictJSON is Amazon's: fields that it does not know, a config with annotations
// (goharbor/acceleration-service#353), a platform with features
// (aws/containers-roadmap#2439), a manifest without a mediaType (containers/image#584)
// and parameters in media types (sigstore/sigstore-js#1058) are no JSON to it. A config
// without bytes is answered with 500 (aws/containers-roadmap#1074).
var strictJSON = refusingManifest(func(_ *Registry, p pushed) *apiError {
	invalid := refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'")
	type descriptor struct {
		MediaType    string            `json:"mediaType"`
		Size         int64             `json:"size"`
		Digest       string            `json:"digest"`
		URLs         []string          `json:"urls"`
		Annotations  map[string]string `json:"annotations"`
		Data         string            `json:"data"`
		ArtifactType string            `json:"artifactType"`
		Platform     *struct {
			Architecture string   `json:"architecture"`
			OS           string   `json:"os"`
			OSVersion    string   `json:"os.version"`
			OSFeatures   []string `json:"os.features"`
			Variant      string   `json:"variant"`
		} `json:"platform"`
	}
	var m struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        *descriptor       `json:"config"`
		Layers        []descriptor      `json:"layers"`
		Manifests     []descriptor      `json:"manifests"`
		Subject       *descriptor       `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}
	dec, err := boundedjson.NewDecoder(p.data)
	if err != nil {
		return invalid
	}
	dec.DisallowUnknownFields()
	if dec.Decode(&m) != nil || m.MediaType == "" || strings.Contains(m.MediaType+m.ArtifactType, ";") {
		return invalid
	}
	for _, layer := range m.Layers {
		if strings.Contains(layer.MediaType, ";") {
			return invalid
		}
	}
	switch {
	case m.Config == nil:
	case len(m.Config.Annotations) > 0 || strings.Contains(m.Config.MediaType, ";"):
		return invalid
	case m.Config.Size == 0:
		return refuse(http.StatusInternalServerError, "UNKNOWN", "an error occurred")
	}
	return nil
})

// quayTypes: a Content-Type that Quay does not know is no manifest to it (its
// endpoints/v2/manifest.py).
var quayTypes = refusing(kindManifest, http.MethodPut, func(_ *Registry, a asked) *apiError {
	switch a.Header.Get("Content-Type") {
	case ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, dockerManifest, dockerList:
		return nil
	}
	err := refuse(http.StatusUnsupportedMediaType, "MANIFEST_INVALID", "manifest invalid")
	err.detail = map[string]string{"message": "manifest schema version not supported"}
	return err
})

// quayChildren: an index whose children are not there is invalid (quay/quay#7033).
var quayChildren = refusingManifest(func(r *Registry, p pushed) *apiError {
	for _, child := range p.head.Manifests {
		if r.store.manifest(p.name, child.Digest.String()) == nil {
			return refuse(http.StatusBadRequest, "MANIFEST_INVALID", "manifest %s is missing", child.Digest)
		}
	}
	return nil
})

// giteaMaxManifest is its limit of a manifest, in bytes.
const giteaMaxManifest = 10 << 20

// giteaManifest is what Gitea reads of a manifest (its routers/api/packages/container
// and modules/packages/container; go-gitea/gitea#25846 for versions).
var giteaManifest = refusingManifest(func(r *Registry, p pushed) *apiError {
	contentType := p.Header.Get("Content-Type")
	var version struct {
		SchemaVersion int `json:"schemaVersion"`
	}
	_ = boundedjson.Unmarshal(p.data, &version) // it was decoded before
	switch {
	case len(p.data) > giteaMaxManifest:
		return refuse(http.StatusRequestEntityTooLarge, "MANIFEST_INVALID", "Manifest exceeds maximum size")
	case !strings.HasPrefix(contentType, "application/vnd.docker.") && !strings.HasPrefix(contentType, "application/vnd.oci."):
		return refuse(http.StatusBadRequest, "MANIFEST_INVALID", "MediaType not recognized")
	case version.SchemaVersion != 2:
		return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "Schema version is not supported")
	}
	for _, child := range p.head.Manifests {
		if child.MediaType != ocispec.MediaTypeImageManifest && child.MediaType != dockerManifest {
			return refuse(http.StatusBadRequest, "MANIFEST_INVALID", "manifest invalid")
		}
		if r.store.manifest(p.name, child.Digest.String()) == nil {
			return refuse(http.StatusNotFound, "MANIFEST_BLOB_UNKNOWN", "manifest references a manifest or blob unknown to registry")
		}
	}
	return nil
})

// typeWanted: Cloudflare's serverless-registry wants a Content-Type, and words its
// refusal in a form of its own (its src/router.ts).
var typeWanted = on(kindManifest, http.MethodPut, func(_ *Registry, w http.ResponseWriter, a asked, next http.Handler) {
	if a.Header.Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"Content-Type is required"}`)) // the client is gone, nobody to tell
		return
	}
	next.ServeHTTP(w, a.Request)
})

// repositoryExists: on Amazon a repository is created before it is pushed to
// (sinker#55). All but those below "missing/" are.
func repositoryExists(_ *Registry, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if name := parseRoute(req.URL.Path).name; strings.HasPrefix(name, "missing/") {
			writeError(w, refuse(http.StatusNotFound, "NAME_UNKNOWN", "The repository with name '%s' does not exist in the registry with id '123456789012'", name))
			return
		}
		next.ServeHTTP(w, req)
	})
}

// readOnly is Quay's answer in repositories that are, those below "readonly/".
func readOnly(_ *Registry, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if name := parseRoute(req.URL.Path).name; strings.HasPrefix(name, "readonly/") && !isRead(req.Method) {
			writeError(w, refuse(http.StatusMethodNotAllowed, "DENIED", "System is currently read-only. Pulls will succeed but all write operations are currently suspended."))
			return
		}
		next.ServeHTTP(w, req)
	})
}

// alwaysDetail: an error of Quay's has a detail, if an empty one.
func alwaysDetail(_ *Registry, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		answer := newCapture()
		next.ServeHTTP(answer, req)
		if answer.status >= http.StatusBadRequest {
			if list, err := errorBody(answer.body.Bytes()); err == nil {
				for _, item := range list {
					if item["detail"] == nil {
						item["detail"] = map[string]any{}
					}
				}
				if body, err := json.Marshal(map[string]any{"errors": list}); err == nil {
					answer.setBody(body)
				}
			}
		}
		answer.replay(w)
		if req.Method != http.MethodHead {
			_, _ = w.Write(answer.body.Bytes()) // the client is gone, nobody to tell
		}
	})
}
