// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/bpfimg/bpfimg/image/hosts"
	"github.com/bpfimg/bpfimg/image/logins"
	"github.com/google/go-containerregistry/pkg/authn"
)

// RegistryOptions configure [NewRegistry]; the zero value is ready for use.
type RegistryOptions struct {
	// Keychain finds credentials of the host that is contacted. Default:
	// [logins.New] with this process's environment.
	Keychain authn.Keychain
	// PlainHTTP allows http, without encryption, to registries that do not
	// answer https, but not to mirrors. Loopback registries need no permission.
	PlainHTTP bool
	// Transport carries the requests. Default: a new [http.Transport] with the
	// system's proxy and trust settings.
	Transport http.RoundTripper
	// UserAgent is sent with every request; "" for the library's own.
	UserAgent string
	// Retry says how often and how patiently transient failures are retried.
	Retry Retry
	// Hosts says where images are read and written, and how hosts are talked to.
	// Default: every registry is asked itself, with the system's settings.
	Hosts *hosts.Hosts
	// Log is told when a mirror did not help. Default: nobody is.
	Log *slog.Logger
	// Progress, if set, is called as blobs are transferred. It must be safe for
	// concurrent use and quick.
	Progress func(Event)
	// MaxTransfers bounds how many blobs are on their way at a time, in both
	// directions and over all that is done with one [Registry]. Manifests and
	// lists do not count. Default: 6.
	MaxTransfers int
	// ChunkSize is how many bytes of a larger blob are uploaded at a time; an
	// upload that is cut goes on after the last part the registry has. A registry
	// can ask for more or less. Default: 4 MiB.
	ChunkSize int64
	// IdleTimeout is how long an upload or an answer, a document's as a blob's, may
	// stand still before the connection is taken for dead and the request made
	// again. Default: 30 s.
	IdleTimeout time.Duration
}

// Registry reads from and writes to OCI registries, whichever the reference
// names. It remembers the handshake with each repository, so that one value
// should serve a whole command. It is safe for concurrent use. Its errors are
// [*RegistryError] where a registry is to blame.
type Registry struct {
	transport http.RoundTripper
	keychain  authn.Keychain
	plainHTTP bool
	userAgent string
	retry     Retry
	progress  reporter
	transfers *transfers
	hosts     *hosts.Hosts
	log       *slog.Logger
	noMirrors bool
	opts      RegistryOptions

	mu       sync.Mutex
	sessions map[sessionKey]*sessionSlot
	// transports are the connections of each host that has settings of its own,
	// mirrors apart.
	transports map[transportKey]http.RoundTripper
	// down are the mirrors that are left alone for a while.
	down map[hosts.Place]placeDown
	// referrerLocks serialise the updates of one fallback tag.
	referrerLocks map[Reference]*sync.Mutex
	// listing are the repositories, by name, whose referrers API has answered.
	listing map[string]bool
	// doubted are the repositories, by name, that have said they have a blob which they
	// lack.
	doubted map[string]bool
}

var (
	_ Conditional    = (*Registry)(nil)
	_ Sink           = (*Registry)(nil)
	_ FallbackWriter = (*Registry)(nil)
)

// NewRegistry makes a client. It opens no connection.
func NewRegistry(opts RegistryOptions) (*Registry, error) {
	if opts.Retry.Attempts < 0 || opts.Retry.Delay < 0 || opts.Retry.MaxDelay < 0 {
		return nil, fmt.Errorf("registry options: negative retry settings %+v", opts.Retry)
	}
	if opts.MaxTransfers < 0 || opts.ChunkSize < 0 || opts.IdleTimeout < 0 {
		return nil, fmt.Errorf("registry options: negative limits on transfers: %d at a time, chunks of %d bytes, %s of silence",
			opts.MaxTransfers, opts.ChunkSize, opts.IdleTimeout)
	}
	return newRegistry(opts), nil
}

// newRegistry is [NewRegistry] with checked options.
func newRegistry(opts RegistryOptions) *Registry {
	r := &Registry{
		transport:     opts.Transport,
		keychain:      opts.Keychain,
		plainHTTP:     opts.PlainHTTP,
		userAgent:     opts.UserAgent,
		retry:         opts.Retry.withDefaults(),
		progress:      opts.Progress,
		transfers:     newTransfers(opts),
		hosts:         opts.Hosts,
		log:           opts.Log,
		opts:          opts,
		transports:    map[transportKey]http.RoundTripper{},
		down:          map[hosts.Place]placeDown{},
		sessions:      map[sessionKey]*sessionSlot{},
		referrerLocks: map[Reference]*sync.Mutex{},
		listing:       map[string]bool{},
		doubted:       map[string]bool{},
	}
	if r.transport == nil {
		r.transport = newTransport()
	}
	if r.keychain == nil {
		r.keychain = logins.New(os.LookupEnv)
	}
	if r.hosts == nil {
		r.hosts = hosts.New(hosts.Options{})
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	return r
}

// newTransport is like Go's default one, with three differences: bodies arrive as
// the registry stored them (no transparent decompression, which would change
// their digest), a registry gets less memory for headers and less time before its
// first byte, and a silent connection of HTTP/2, which all requests share, is
// asked whether it lives: otherwise each attempt would be made over a dead one.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           32,
		MaxIdleConnsPerHost:    16,
		IdleConnTimeout:        30 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  60 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 10 * time.Second},
	}
}
