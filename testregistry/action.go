// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bpfimg/bpfimg/internal/pause"
)

// Status answers with an HTTP status and, from 400 on, the message as a registry
// words its errors. The message goes out as it is: control characters and
// terminal escapes are what a test of them wants.
func Status(status int, message string) Action {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		if status < http.StatusBadRequest {
			w.WriteHeader(status)
			return
		}
		writeError(w, &apiError{status: status, code: codeFor(status), message: message})
	}
}

// RetryAfter is [Status] with a Retry-After header, which is rounded up to whole
// seconds.
func RetryAfter(status int, wait time.Duration) Action {
	seconds := int64((wait + time.Second - 1) / time.Second)
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set("Retry-After", strconv.FormatInt(seconds, 10))
		Status(status, "come back later")(w, r, next)
	}
}

// codeFor is the spec's code for a status (OCI distribution spec, "Error
// Codes").
func codeFor(status int) string {
	switch status {
	case http.StatusUnauthorized:
		return "UNAUTHORIZED"
	case http.StatusForbidden:
		return "DENIED"
	case http.StatusNotFound:
		return "MANIFEST_UNKNOWN"
	case http.StatusTooManyRequests:
		return "TOOMANYREQUESTS"
	}
	return "UNKNOWN"
}

// Header adds a header to the registry's own answer.
func Header(key, value string) Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		w.Header().Set(key, value)
		next.ServeHTTP(w, r)
	}
}

// Redirect sends the client to target with status 307.
func Redirect(target string) Action {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		http.Redirect(w, r, target, http.StatusTemporaryRedirect)
	}
}

// Truncate ends the body after n bytes, although the header promised more.
func Truncate(n int) Action {
	return edit(func(body []byte, _ http.Header) []byte { return body[:min(n, len(body))] })
}

// CutUpload lets n bytes of the request's body reach the registry, and then cuts
// the connection without an answer.
func CutUpload(n int) Action {
	return func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		cut := r.Clone(r.Context())
		cut.Body = io.NopCloser(io.MultiReader(io.LimitReader(r.Body, int64(n)), cutOff{}))
		next.ServeHTTP(newCapture(), cut)
		panic(http.ErrAbortHandler) // how net/http is told to cut a connection
	}
}

// LoseAnswer lets the registry do what is asked, and cuts the connection without
// an answer.
func LoseAnswer() Action {
	return func(_ http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(newCapture(), r)
		panic(http.ErrAbortHandler) // as in CutUpload
	}
}

// IgnoreRange answers a request for a part with the whole.
func IgnoreRange() Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		whole := r.Clone(r.Context())
		whole.Header.Del("Range")
		next.ServeHTTP(w, whole)
	}
}

// WithoutQuery hides the request's query from the registry, which then mounts
// nothing, as some do.
func WithoutQuery() Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		plain := r.Clone(r.Context())
		plain.URL.RawQuery = ""
		next.ServeHTTP(w, plain)
	}
}

// Corrupt changes one bit in the middle of the body, whose length and announced
// digest stay.
func Corrupt() Action {
	return edit(func(body []byte, _ http.Header) []byte {
		if len(body) > 0 {
			body[len(body)/2] ^= 1
		}
		return body
	})
}

// Replace answers with another body of another length, under the header of the
// real one.
func Replace(body []byte) Action {
	return edit(func(_ []byte, header http.Header) []byte {
		header.Set("Content-Length", strconv.Itoa(len(body)))
		return body
	})
}

// Pad makes the body n bytes long at least, with spaces at its end, which JSON
// allows.
func Pad(n int) Action {
	return edit(func(body []byte, header http.Header) []byte {
		padded := append(body, strings.Repeat(" ", max(0, n-len(body)))...)
		header.Set("Content-Length", strconv.Itoa(len(padded)))
		return padded
	})
}

// edit answers with the registry's answer after change saw it.
func edit(change func(body []byte, header http.Header) []byte) Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := newCapture()
		next.ServeHTTP(answer, r)
		body := change(answer.body.Bytes(), answer.header)
		answer.replay(w)
		if r.Method != http.MethodHead {
			_, _ = w.Write(body) // the client is gone, nobody to tell
		}
	}
}

// Delay waits before the registry looks at the request, as a network does.
func Delay(latency time.Duration) Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if pause.For(r.Context(), latency) == nil {
			next.ServeHTTP(w, r)
		}
	}
}

// Drip sends the answer chunk bytes at a time with a pause before each.
func Drip(chunk int, wait time.Duration) Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		answer := newCapture()
		next.ServeHTTP(answer, r)
		answer.replay(w)
		control := http.NewResponseController(w)
		for rest := answer.body.Bytes(); len(rest) > 0; {
			n := min(max(chunk, 1), len(rest))
			if control.Flush() != nil || pause.For(r.Context(), wait) != nil {
				return
			}
			if _, err := w.Write(rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
	}
}

// Hang never answers; it ends when the client gives up.
func Hang() Action {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }
}

// MoveTo answers a request for a manifest with the one that target, a tag or
// digest of the same repository, names. With Fault.Skip it is a tag that moves
// between two requests.
func MoveTo(target string) Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		moved := r.Clone(r.Context())
		i := strings.LastIndexByte(r.URL.Path, '/')
		moved.URL = &url.URL{Path: r.URL.Path[:i+1] + target, RawQuery: r.URL.RawQuery}
		next.ServeHTTP(w, moved)
	}
}
