// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bpfimg/bpfimg/internal/loopback"
)

const (
	// maxErrorBody is how much of an error response is read; the rest is cut off,
	// because the status alone says enough. The registry library's own limit is
	// 64 KiB, over which it forgets the status.
	maxErrorBody = 32 << 10
	// maxRequests bounds what one attempt of one operation may send: handshake,
	// redirects and token included it is below a dozen.
	maxRequests = 32
)

// ErrPlainHTTP: the registry would have to be talked to without encryption,
// which has not been allowed.
var ErrPlainHTTP = errors.New("plain http is refused to registries that are not on this machine")

// errNotTried marks the https request that is not sent to a loopback registry.
var errNotTried = errors.New("https is not tried before http on loopback")

// schemes says which protocols a guard lets through to its registry.
type schemes int

const (
	schemeHTTPS schemes = 1 << iota
	schemeHTTP
)

// guard is the innermost round tripper, below authentication and redirects:
// whatever a registry or the library above asks for, what goes out and how much
// comes back is decided here.
type guard struct {
	inner http.RoundTripper
	// registry is the host and port of the registry, plain the permission to talk
	// http to it although it is not on this machine.
	registry string
	allowed  schemes
	plain    bool
	// idle is how long an answer may stand still.
	idle time.Duration
}

// RoundTrip implements [http.RoundTripper].
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	x := exchangeOf(req.Context())
	err := g.permit(req)
	if err == nil {
		err = x.count()
	}
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // the round tripper's duty; nothing was sent
		}
		return nil, err
	}
	req, err = rewound(req)
	if err != nil {
		return nil, err
	}
	ctx, dog, stop := watch(req.Context(), g.idle)
	dog.rest() // until there is an answer, which has a timeout of its own
	resp, err := g.inner.RoundTrip(req.WithContext(ctx))
	if err != nil {
		stop()
		x.failed(err)
		return nil, cutOff(err)
	}
	dog.moved()
	x.answered(resp)
	resp.Body = &answerBody{resp.Body, ctx, dog, stop}
	if resp.StatusCode >= http.StatusBadRequest {
		resp.Body = &cappedBody{ReadCloser: resp.Body, left: maxErrorBody, atLimit: io.EOF}
	} else {
		resp.Body = &cappedBody{ReadCloser: resp.Body, left: x.bodyLimit, atLimit: ErrTooLarge}
	}
	return resp, nil
}

// rewound is req with its body from the beginning: the library sends a request
// again when the token was not good enough, with the body it has already read.
func rewound(req *http.Request) (*http.Request, error) {
	if req.GetBody == nil || req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	_ = req.Body.Close() // the round tripper's duty; it is not used
	body, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	again := req.Clone(req.Context())
	again.Body = body
	return again, nil
}

// permit decides whether req may be sent where it goes, over the scheme it asks for.
func (g *guard) permit(req *http.Request) error {
	// Where a registry sends us is decided here once more, because the library
	// follows redirects of its own, and asks whatever a challenge names.
	if err := checkInside(hostname(g.registry), req.URL.Hostname()); err != nil {
		return err
	}
	if movesForm(req) {
		return errors.New("refusing a redirect of the token server to another host: the login would go there")
	}
	own := req.URL.Host == g.registry
	switch req.URL.Scheme {
	case "https":
		if own && g.allowed&schemeHTTPS == 0 {
			return errNotTried
		}
		return nil
	case "http":
		if loopback.Is(req.URL.Hostname()) && !(own && g.allowed&schemeHTTP == 0) {
			return nil
		}
		// The permission is for this registry. Elsewhere (a blob store it redirects
		// to) only requests that carry nothing secret may go in the clear.
		harmless := req.Method == http.MethodGet && req.Header.Get("Authorization") == ""
		if g.plain && (req.URL.Hostname() == hostname(g.registry) || harmless) {
			return nil
		}
		return fmt.Errorf("%w: %s", ErrPlainHTTP, req.URL.Host)
	}
	return fmt.Errorf("the scheme %q is not allowed", req.URL.Scheme)
}

// movesForm says whether req takes a form along to another host. Forms are how an
// identity token is sent, in the body, which redirects keep.
func movesForm(req *http.Request) bool {
	return req.Response != nil && req.Response.Request != nil && req.URL.Host != req.Response.Request.URL.Host &&
		strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// answerBody notices when no more of an answer comes, whoever reads it.
type answerBody struct {
	io.ReadCloser
	ctx  context.Context // of the request, which lives as long as its answer
	dog  *watchdog
	stop func()
}

func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.dog.rest()
	case err != nil:
		err = fmt.Errorf("%w: %w", errCut, stalled(b.ctx, err))
	case n > 0:
		b.dog.moved()
	}
	return n, err
}

func (b *answerBody) Close() error {
	defer b.stop()
	return b.ReadCloser.Close()
}

// cappedBody ends a response body with an error after left bytes.
type cappedBody struct {
	io.ReadCloser
	left    int64
	atLimit error
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	// One byte more than allowed tells an end at the limit from one beyond it.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if int64(n) > b.left {
		n = int(b.left)
		b.left = 0
		return n, b.atLimit
	}
	b.left -= int64(n)
	return n, err
}

// exchange is what one attempt of one operation shares with the guard below it.
type exchange struct {
	// bodyLimit bounds every successful response, in bytes.
	bodyLimit int64

	mu         sync.Mutex
	requests   int
	retryAfter time.Duration
	lastErr    error
}

type exchangeKey struct{}

func withExchange(ctx context.Context, x *exchange) context.Context {
	return context.WithValue(ctx, exchangeKey{}, x)
}

// exchangeOf never returns nil: a request outside any operation gets the
// strictest limits.
func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{bodyLimit: MaxManifest}
}

func (x *exchange) count() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.requests++; x.requests > maxRequests {
		return fmt.Errorf("stopped after %d requests for one operation", maxRequests)
	}
	return nil
}

// progressed begins the count anew: what is bounded is requests that bring
// nothing on.
func (x *exchange) progressed() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.requests = 0
}

func (x *exchange) failed(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.lastErr = err
}

// answered notes how long the registry asks to wait (RFC 9110, Retry-After).
func (x *exchange) answered(resp *http.Response) {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode < http.StatusInternalServerError {
		return
	}
	value := resp.Header.Get("Retry-After")
	var wait time.Duration
	if seconds, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = time.Until(at)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.retryAfter = max(wait, 0)
}

// outcome is the wait the registry asked for and the last network error. It
// locks, because a lost handshake race may still be running.
func (x *exchange) outcome() (retryAfter time.Duration, lastErr error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.retryAfter, x.lastErr
}
