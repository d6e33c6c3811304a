// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/testregistry"
)

// shortIdle is a silence that tests wait for, while others run. Where much else shares
// the processor, a connection that is well may be silent for a tenth of that.
const shortIdle = 3 * time.Second

// once makes h behave badly once at requests whose path contains part.
func once(part string, bad, h http.HandlerFunc) http.HandlerFunc {
	var done atomic.Bool
	return func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, part) && done.CompareAndSwap(false, true) {
			bad(w, req)
			return
		}
		h(w, req)
	}
}

// TestSilentAnswer: a connection that dies while a document or a token arrives is
// noticed, and the request made again.
func TestSilentAnswer(t *testing.T) {
	t.Parallel()
	im := newImage(t, "silent", nil)
	registry := func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.URL.Path == "/token":
			fmt.Fprint(w, `{"token":"t"}`)
		case req.Header.Get("Authorization") != "Bearer t":
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+req.Host+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(req.URL.Path, "/manifests/"):
			sendManifest(w, im.manifest)
		}
	}
	silent := func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.Header().Set("Content-Type", im.manifest.Descriptor.MediaType)
		_, _ = w.Write([]byte("{")) // the client may be gone
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done() // the client hangs up
	}
	for _, part := range []string{"/manifests/", "/token"} {
		t.Run(part, func(t *testing.T) {
			t.Parallel()
			host, _ := serve(t, once(part, silent, registry))
			r := testClient(t, RegistryOptions{IdleTimeout: shortIdle})
			if _, err := r.Manifest(t.Context(), mustParse(t, host+"/a:v1")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestHTTP2Cut: most registries speak HTTP/2, where a cut is a reset stream.
func TestHTTP2Cut(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(3 << 20)
	cutAt := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if n > 0 {
				w.Header().Set("Content-Length", fmt.Sprint(len(data)))
				_, _ = w.Write(data[:n])
				_ = http.NewResponseController(w).Flush()
			}
			panic(http.ErrAbortHandler)
		}
	}
	for _, n := range []int{0, 10, 2 << 20} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			blobs := func(w http.ResponseWriter, req *http.Request) {
				http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
			}
			r, ref := overHTTP2(t, answer(once("/blobs/", cutAt(n), blobs)))
			got, err := r.Blob(t.Context(), ref, desc, MaxLayer)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
	t.Run("upload", func(t *testing.T) {
		t.Parallel()
		handler, err := testregistry.New(testregistry.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		reset := func(_ http.ResponseWriter, req *http.Request) {
			_, _ = io.CopyN(io.Discard, req.Body, 100) // some of it arrives
			panic(http.ErrAbortHandler)
		}
		r, ref := overHTTP2(t, once("/blobs/uploads/", handler.ServeHTTP, once("/blobs/uploads/", reset, handler.ServeHTTP)))
		if err := r.PutBlob(t.Context(), ref, desc, data, ""); err != nil {
			t.Error(err)
		}
	})
}

// deadConn is a connection whose other side is gone without a word, as behind a
// router that was restarted: after some bytes nothing comes, and what is sent is lost.
type deadConn struct {
	net.Conn
	left   atomic.Int64
	closed chan struct{}
	once   sync.Once
}

func (c *deadConn) Read(p []byte) (int, error) {
	if c.left.Load() <= 0 {
		<-c.closed
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p)
	c.left.Add(-int64(n))
	return n, err
}

func (c *deadConn) Write(p []byte) (int, error) {
	if c.left.Load() <= 0 {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *deadConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// TestDeadHTTP2: all requests of HTTP/2 share a connection. One that is dead must
// not take every attempt with it.
func TestDeadHTTP2(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(3 << 20)
	r, ref := overHTTP2(t, answer(func(w http.ResponseWriter, req *http.Request) {
		http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
	}))
	transport := r.transport.(*http.Transport)
	if silent := transport.HTTP2.SendPingTimeout + transport.HTTP2.PingTimeout; silent == 0 || silent >= defaultIdleTimeout {
		t.Fatalf("a dead connection is found after %s, and a transfer over it given up after %s", silent, defaultIdleTimeout)
	}
	transport.HTTP2.SendPingTimeout, transport.HTTP2.PingTimeout = shortIdle, shortIdle
	var dials atomic.Int32
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		dead := &deadConn{Conn: conn, closed: make(chan struct{})}
		dead.left.Store(1 << 40)
		if dials.Add(1) == 2 { // the first speaks http, which this server does not
			dead.left.Store(1 << 20)
		}
		return dead, nil
	}
	got, err := r.Blob(t.Context(), ref, desc, MaxLayer)
	if err != nil || !bytes.Equal(got, data) || dials.Load() != 3 {
		t.Errorf("got %d bytes, %v, over %d connections", len(got), err, dials.Load())
	}
}

// overHTTP2 serves h over TLS, and makes a client that need not trust it.
func overHTTP2(t *testing.T, h http.Handler) (*Registry, Reference) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.ProtoMajor != 2 {
			t.Errorf("got %s, want HTTP/2", req.Proto)
		}
		h.ServeHTTP(w, req)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	transport := newTransport()
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	return testClient(t, RegistryOptions{Transport: transport}), mustParse(t, strings.TrimPrefix(server.URL, "https://")+"/a:v1")
}
