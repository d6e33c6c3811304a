// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// testRepository is how the registry library sees ref.
func testRepository(ref Reference) (name.Repository, error) {
	return name.NewRepository(ref.Name(), name.StrictValidation)
}

// answer serves /v2/ and gives every other request to h.
func answer(h http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/v2/" {
			return
		}
		h(w, req)
	})
}

func sendManifest(w http.ResponseWriter, m Manifest) {
	w.Header().Set("Content-Type", m.Descriptor.MediaType)
	_, _ = w.Write(m.Bytes) // the client may be gone
}

func registryError(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": []any{map[string]string{"code": code, "message": message}}})
	}
}

func TestStatusErrors(t *testing.T) {
	t.Parallel()
	tests := []struct {
		status   int
		code     string
		want     error
		attempts int
	}{
		{401, "UNAUTHORIZED", ErrUnauthorized, 1},
		{403, "DENIED", ErrUnauthorized, 1},
		{404, "MANIFEST_UNKNOWN", ErrNotFound, 1},
		{404, "NAME_UNKNOWN", ErrNotFound, 1},
		{400, "NAME_INVALID", nil, 1},
		{429, "TOOMANYREQUESTS", nil, 3},
		{500, "UNKNOWN", nil, 3},
		{503, "UNAVAILABLE", nil, 3},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.status, tt.code), func(t *testing.T) {
			t.Parallel()
			host, rec := serve(t, answer(registryError(tt.status, tt.code, "some \x1b[31m message"+strings.Repeat("x", 5000))))
			ref := mustParse(t, host+"/a:v1")
			_, err := testClient(t, RegistryOptions{}).Manifest(t.Context(), ref)
			var answer *RegistryError
			if !errors.As(err, &answer) {
				t.Fatalf("got %v, want a RegistryError", err)
			}
			if answer.Status != tt.status || answer.Code != tt.code || answer.Attempts != tt.attempts {
				t.Errorf("got %+v", answer)
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if got := len(rec.requests("/manifests/")); got != tt.attempts {
				t.Errorf("got %d requests, want %d", got, tt.attempts)
			}
			if text := err.Error(); strings.Contains(text, "\x1b") || len(text) > 1000 || !strings.Contains(text, ref.String()) {
				t.Errorf("bad text: %s", text)
			}
		})
	}
}

func TestLongErrorPageKeepsStatus(t *testing.T) {
	t.Parallel()
	host, _ := serve(t, answer(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(strings.Repeat("<html>", 100_000))) // the client stops reading
	}))
	if _, err := testClient(t, RegistryOptions{}).Manifest(t.Context(), mustParse(t, host+"/a:v1")); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestHandshakeErrors(t *testing.T) {
	t.Parallel()
	noRegistry, _ := serve(t, http.NotFoundHandler())
	broken, _ := serve(t, registryError(500, "UNKNOWN", "broken"))
	tests := []struct{ name, host, want string }{
		{"nobody listens", nobody(t), "refused the connection, is it running?"},
		{"not a registry", noRegistry, "it is no OCI registry"},
		{"ping fails", broken, "answered 500"},
	}
	for _, tt := range tests {
		_, err := testClient(t, RegistryOptions{}).Manifest(t.Context(), mustParse(t, tt.host+"/a:v1"))
		if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func TestRetryThenSuccess(t *testing.T) {
	t.Parallel()
	im := newImage(t, "retry", nil)
	var n atomic.Int32
	host, _ := serve(t, answer(func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) {
		case 1:
			w.WriteHeader(http.StatusBadGateway)
		case 2: // cut off half-way
			w.Header().Set("Content-Length", strconv.Itoa(len(im.manifest.Bytes)))
			_, _ = w.Write(im.manifest.Bytes[:10])
		default:
			sendManifest(w, im.manifest)
		}
	}))
	m, err := testClient(t, RegistryOptions{}).Manifest(t.Context(), mustParse(t, host+"/a:v1"))
	if err != nil || m.Descriptor.Digest != im.manifest.Descriptor.Digest {
		t.Errorf("got %v, %v", m.Descriptor, err)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	retry := Retry{Delay: time.Second, MaxDelay: 10 * time.Second}.withDefaults()
	tests := []struct {
		n        int
		asked    time.Duration
		min, max time.Duration
	}{
		{1, 0, time.Second, 1250 * time.Millisecond},
		{3, 0, 4 * time.Second, 5 * time.Second},
		{1, 7 * time.Second, 7 * time.Second, 7 * time.Second},
		{1, time.Hour, 10 * time.Second, 10 * time.Second},
		{60, 0, 10 * time.Second, 10 * time.Second},
	}
	for _, tt := range tests {
		if got := retry.wait(tt.n, tt.asked); got < tt.min || got > tt.max {
			t.Errorf("attempt %d, asked for %s: wait %s, want %s to %s", tt.n, tt.asked, got, tt.min, tt.max)
		}
	}
	x := &exchange{}
	x.answered(&http.Response{StatusCode: 429, Header: http.Header{"Retry-After": {"17"}}})
	if asked, _ := x.outcome(); asked != 17*time.Second {
		t.Errorf("Retry-After was read as %s", asked)
	}
}

func TestDeadlineDuringBackoffKeepsAnswer(t *testing.T) {
	t.Parallel()
	host, _ := serve(t, answer(registryError(503, "UNAVAILABLE", "later")))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := testClient(t, RegistryOptions{Retry: Retry{Delay: time.Hour, MaxDelay: time.Hour}})
	_, err := r.Manifest(ctx, mustParse(t, host+"/a:v1"))
	var answer *RegistryError
	if !errors.As(err, &answer) || answer.Status != 503 {
		t.Errorf("got %v, want the registry's own answer", err)
	}
}

func TestHostileManifests(t *testing.T) {
	t.Parallel()
	im := newImage(t, "hostile", nil)
	big := encode(t, ocispec.MediaTypeImageManifest, map[string]any{"config": im.descs[0], "x": strings.Repeat("x", MaxManifest)})
	tests := []struct {
		name  string
		serve http.HandlerFunc
		want  error
		text  string
	}{
		{"too large", func(w http.ResponseWriter, _ *http.Request) { sendManifest(w, big) }, ErrTooLarge, ""},
		{"too large without a length", func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			sendManifest(w, big)
		}, ErrTooLarge, ""},
		{"header digest differs", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(headerDigest, someDigest)
			sendManifest(w, im.manifest)
		}, ErrDigestMismatch, ""},
		{"type outside differs from inside", func(w http.ResponseWriter, _ *http.Request) {
			m := im.manifest
			m.Descriptor.MediaType = ocispec.MediaTypeImageIndex
			sendManifest(w, m)
		}, nil, "was sent as"},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, nil, "not a JSON document"},
		{"unknown type", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/vnd.unknown+json")
			fmt.Fprint(w, "{}")
		}, nil, "not supported"},
	}
	for _, tt := range tests {
		host, _ := serve(t, answer(tt.serve))
		_, err := testClient(t, RegistryOptions{}).Manifest(t.Context(), mustParse(t, host+"/a:v1"))
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %v, want %v %q", tt.name, err, tt.want, tt.text)
		}
	}
	host, _ := serve(t, answer(func(w http.ResponseWriter, _ *http.Request) { sendManifest(w, im.manifest) }))
	if _, err := testClient(t, RegistryOptions{}).Manifest(t.Context(), mustParse(t, host+"/a@"+someDigest)); !errors.Is(err, ErrDigestMismatch) {
		t.Errorf("another manifest than asked for: got %v, want ErrDigestMismatch", err)
	}
}

func TestHostileBlobs(t *testing.T) {
	t.Parallel()
	data := []byte(strings.Repeat("0123456789", 100_000))
	desc := describe("application/octet-stream", data)
	chunked := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(body)
		}
	}
	plain := func(body []byte) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body)
		}
	}
	corrupt := append([]byte("x"), data[1:]...)
	tests := []struct {
		name     string
		serve    http.HandlerFunc
		want     error
		anyError bool // an error without a sentinel
		requests int
	}{
		{"good", plain(data), nil, false, 1},
		{"good without a length", chunked(data), nil, false, 1},
		{"corrupt", plain(corrupt), ErrDigestMismatch, false, 1},
		{"longer", plain(append(corrupt, 'x')), ErrTooLarge, false, 1},
		{"longer without a length", chunked(append(data, 'x')), ErrTooLarge, false, 1},
		{"shorter", plain(data[:5]), ErrDigestMismatch, false, 1},
		{"shorter without a length", chunked(data[:5]), nil, true, 3},
		{"cut off", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			_, _ = w.Write(data[:500_000])
		}, nil, true, 3},
	}
	for _, tt := range tests {
		host, rec := serve(t, answer(tt.serve))
		got, err := testClient(t, RegistryOptions{}).Blob(t.Context(), mustParse(t, host+"/a:v1"), desc, MaxLayer)
		ok := err != nil
		if !tt.anyError {
			ok = errors.Is(err, tt.want) && (err != nil || string(got) == string(data))
		}
		if !ok {
			t.Errorf("%s: got %d bytes and %v, want %v", tt.name, len(got), err, tt.want)
		}
		if n := len(rec.requests("/blobs/")); n != tt.requests {
			t.Errorf("%s: got %d requests, want %d", tt.name, n, tt.requests)
		}
	}
	host, rec := serve(t, answer(plain(data)))
	if _, err := testClient(t, RegistryOptions{}).Blob(t.Context(), mustParse(t, host+"/a:v1"), desc, 10); !errors.Is(err, ErrTooLarge) || len(rec.requests("")) != 0 {
		t.Errorf("over the limit: got %v and requests %v", err, rec.requests(""))
	}
}

// TestSlowBody: a body that never ends is left when the context does.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	host, _ := serve(t, answer(func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("x"))
		_ = http.NewResponseController(w).Flush()
		close(started)
		<-req.Context().Done()
	}))
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-started
		cancel(context.DeadlineExceeded)
	}()
	_, err := testClient(t, RegistryOptions{}).Blob(ctx, mustParse(t, host+"/a:v1"), ocispec.Descriptor{Digest: someDigest, Size: 100}, 100)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
}

// TestOneHandshake: a whole pull pings once and never tries https on loopback.
func TestOneHandshake(t *testing.T) {
	t.Parallel()
	host, rec := newRegistryServer(t, true)
	im := newImage(t, "handshake", nil)
	ref := mustParse(t, host+"/a:v1")
	im.put(t, testClient(t, RegistryOptions{}), ref)
	rec.reset()
	r := testClient(t, RegistryOptions{})
	done := make(chan error)
	for range 8 {
		go func() {
			_, err := r.Manifest(t.Context(), ref)
			done <- err
		}()
	}
	for range 8 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	im.check(t, r, ref)
	if _, err := r.Referrers(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String())); err != nil {
		t.Error(err)
	}
	if got := len(rec.requests("")); got != 1+8+3+1 {
		t.Errorf("got requests %v", rec.requests(""))
	}
}

func TestLoopbackTLS(t *testing.T) {
	t.Parallel()
	im := newImage(t, "tls", nil)
	server := httptest.NewTLSServer(answer(func(w http.ResponseWriter, _ *http.Request) { sendManifest(w, im.manifest) }))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "https://")
	m, err := testClient(t, RegistryOptions{Transport: server.Client().Transport}).Manifest(t.Context(), mustParse(t, host+"/a:v1"))
	if err != nil || m.Descriptor.Digest != im.manifest.Descriptor.Digest {
		t.Errorf("got %v, %v", m.Descriptor, err)
	}
}

// dialTo sends every connection to one address, so that tests can give loopback
// servers other names.
func dialTo(host string) *http.Transport {
	return &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, host)
		},
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
}

func TestPlainHTTPNeedsPermission(t *testing.T) {
	t.Parallel()
	im := newImage(t, "plain", nil)
	for _, name := range []string{"registry.example:5000", "10.0.0.1:5000", "x.localhost:5000", "registry.local:5000"} {
		host, rec := serve(t, answer(func(w http.ResponseWriter, _ *http.Request) { sendManifest(w, im.manifest) }))
		ref := mustParse(t, name+"/a:v1")
		_, err := testClient(t, RegistryOptions{Transport: dialTo(host)}).Manifest(t.Context(), ref)
		if err == nil || !strings.Contains(err.Error(), "--plain-http") {
			t.Errorf("%s: got %v, want a hint at --plain-http", name, err)
		}
		if got := rec.requests(""); len(got) != 0 {
			t.Errorf("%s: plain http was spoken: %v", name, got)
		}
		if _, err := testClient(t, RegistryOptions{Transport: dialTo(host), PlainHTTP: true}).Manifest(t.Context(), ref); err != nil {
			t.Errorf("%s with permission: %v", name, err)
		}
	}
}
