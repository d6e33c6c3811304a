// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Defaults of [Options].
const (
	// defaultMaxManifest is the limit the OCI distribution spec recommends
	// registries to accept (spec.md, "Pushing Manifests").
	defaultMaxManifest = 4 << 20
	defaultMaxBlob     = 256 << 20
	defaultPageSize    = 1000
)

// Options of [New]; the zero value is an empty registry in memory.
type Options struct {
	// Dir keeps everything and is created when missing; one server at a time may
	// use it. Default: in memory, gone with the Registry.
	Dir string
	// Log hears of refused requests and damaged files. Default: nobody.
	Log *slog.Logger
	// MaxManifest and MaxBlob bound uploads in bytes. Default: 4 MiB, 256 MiB.
	MaxManifest, MaxBlob int64
	// PageSize bounds the entries of one answer that lists tags, repositories or
	// referrers; a Link header leads to the rest. Default: 1000.
	PageSize int
	// MinChunk is announced as the least size of all chunks of an upload but the
	// last, in bytes, and held to. Default: any size.
	MinChunk int64
	// NoChunks refuses chunked uploads (405), as some registries do.
	NoChunks bool
	// AcceptIncomplete takes manifests whose blobs or children are missing, so
	// that a test can break an image.
	AcceptIncomplete bool
	// NoReferrers turns the referrers API off (404), as in registries older than
	// OCI 1.1: clients then use the fallback tag.
	NoReferrers bool
	// Profile makes the registry behave as a vendor's does, in what differs from the
	// specification. Default: it keeps to the specification.
	Profile Profile
	// Latency delays every request before it is looked at: the round trip time
	// of a simulated network.
	Latency time.Duration
	// Faults are tried in order; the first that matches a request handles it.
	Faults []Fault
	// Recorder, if set, notes every request.
	Recorder *Recorder
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxManifest <= 0 {
		o.MaxManifest = defaultMaxManifest
	}
	if o.MaxBlob <= 0 {
		o.MaxBlob = defaultMaxBlob
	}
	if o.PageSize <= 0 {
		o.PageSize = defaultPageSize
	}
	return o
}

// Registry serves the OCI distribution API. It is safe for concurrent use.
type Registry struct {
	opts    Options
	blobs   http.Handler // go-containerregistry's
	store   *store
	uploads *uploads
	handler http.Handler // everything, faults included
}

var _ http.Handler = (*Registry)(nil)

// New opens the registry in opts.Dir and reads what it holds. Damaged files
// there are left out and logged.
func New(opts Options) (*Registry, error) {
	if opts.Profile.options != nil {
		opts.Profile.options(&opts)
	}
	opts = opts.withDefaults()
	r := &Registry{opts: opts, uploads: newUploads(opts.MaxBlob)}
	logger := registry.Logger(slog.NewLogLogger(opts.Log.Handler(), slog.LevelDebug))
	blobs := registry.NewInMemoryBlobHandler()
	if opts.Dir != "" {
		dir := filepath.Join(opts.Dir, "blobs")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, fmt.Errorf("making the registry's folder: %w", err)
		}
		blobs = registry.NewDiskBlobHandler(dir)
	}
	r.blobs = registry.New(logger, registry.WithBlobHandler(blobs))
	var err error
	if r.store, err = openStore(opts.Dir, opts.Log); err != nil {
		return nil, fmt.Errorf("opening the registry in %q: %w", opts.Dir, err)
	}
	r.handler = withFaults(opts.Profile.wrap(r, http.HandlerFunc(r.serve)), opts.Faults)
	if opts.Latency > 0 {
		r.handler = Fault{Do: Delay(opts.Latency)}.Wrap(r.handler)
	}
	if opts.Recorder != nil {
		r.handler = opts.Recorder.Wrap(r.handler)
	}
	return r, nil
}

// ServeHTTP implements [http.Handler].
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.handler.ServeHTTP(w, req)
}

// serve answers one request, without faults.
func (r *Registry) serve(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	err := r.dispatch(w, req)
	if err == nil {
		return
	}
	level := slog.LevelInfo
	if err.status == http.StatusNotFound {
		level = slog.LevelDebug // clients ask before they push
	}
	r.opts.Log.Log(req.Context(), level, "refused", "method", req.Method, "path", req.URL.Path, "status", err.status, "code", err.code, "message", err.message)
	writeError(w, err)
}

func (r *Registry) dispatch(w http.ResponseWriter, req *http.Request) *apiError {
	rt := parseRoute(req.URL.Path)
	switch rt.kind {
	case kindPing:
		r.blobs.ServeHTTP(w, req)
		return nil
	case kindManifest:
		return r.serveManifest(w, req, rt)
	case kindBlob:
		return r.serveBlob(w, req, rt)
	case kindUpload:
		return r.serveUpload(w, req, rt)
	case kindTags:
		return r.serveTags(w, req, rt)
	case kindCatalog:
		return r.serveCatalog(w, req)
	case kindReferrers:
		if !r.opts.NoReferrers {
			return r.serveReferrers(w, req, rt)
		}
	}
	if rt.kind != kindUnknown {
		return refuse(http.StatusNotFound, "NAME_INVALID", "no such resource: %q", req.URL.Path)
	}
	return refusePath(req.Method, req.URL.Path)
}
