// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Recorder notes the requests a handler serves and how they followed each other.
// The zero value is ready; it is safe for concurrent use.
//
// Time is a logical clock that counts beginnings and ends. A request ends before
// the first byte of its answer is sent, so that a request made because of it
// always begins later; whether two requests overlap still depends on when they
// arrive, so add latency ([Options].Latency), best in a testing/synctest bubble.
type Recorder struct {
	mu    sync.Mutex
	clock uint64
	calls []Call
}

// Call is one request.
type Call struct {
	Method, Path string
	// Range is the request's Range header or, of a part of an upload, its
	// Content-Range.
	Range string
	// Status is the answer's; 0 while there is none.
	Status int
	// Start and End are ticks of the Recorder's clock; End is 0 while there is no
	// answer.
	Start, End uint64
}

// Wrap returns next with every request noted.
func (r *Recorder) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		noted := &recordedWriter{ResponseWriter: w, recorder: r, call: r.start(req)}
		defer noted.end(http.StatusOK) // a handler that wrote nothing answered 200
		next.ServeHTTP(noted, req)
	})
}

func (r *Recorder) start(req *http.Request) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clock++
	part := req.Header.Get("Range") + req.Header.Get("Content-Range")
	r.calls = append(r.calls, Call{Method: req.Method, Path: req.URL.Path, Range: part, Start: r.clock})
	return len(r.calls) - 1
}

func (r *Recorder) end(call, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if call >= len(r.calls) || r.calls[call].End != 0 {
		return
	}
	r.clock++
	r.calls[call].End = r.clock
	r.calls[call].Status = status
}

// Calls returns the requests so far, by beginning.
func (r *Recorder) Calls() []Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// Count returns how many requests so far had the method ("" for any) and a path
// that contains part.
func (r *Recorder) Count(method, part string) int {
	n := 0
	for _, c := range r.Calls() {
		if (method == "" || c.Method == method) && strings.Contains(c.Path, part) {
			n++
		}
	}
	return n
}

// RoundTrips is the length of the longest chain of requests each of which began
// after the one before had ended: how often a client had to wait for the
// network, however many requests it made side by side.
func (r *Recorder) RoundTrips() int {
	// By end, the longest chain grows greedily: take whatever ends first among
	// what begins after the last one taken.
	calls := slices.DeleteFunc(r.Calls(), func(c Call) bool { return c.End == 0 })
	slices.SortFunc(calls, func(a, b Call) int { return int(a.End) - int(b.End) })
	n, last := 0, uint64(0)
	for _, c := range calls {
		if c.Start > last {
			n, last = n+1, c.End
		}
	}
	return n
}

// recordedWriter ends its call when the answer begins.
type recordedWriter struct {
	http.ResponseWriter
	recorder *Recorder
	call     int
}

func (w *recordedWriter) end(status int) { w.recorder.end(w.call, status) }

func (w *recordedWriter) WriteHeader(status int) {
	w.end(status)
	w.ResponseWriter.WriteHeader(status)
}

func (w *recordedWriter) Write(p []byte) (int, error) {
	w.end(http.StatusOK)
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *recordedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
