// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"net/http"
	"strings"
	"sync/atomic"
)

// Fault makes a registry misbehave for the requests it matches. All fields that
// are set must match.
type Fault struct {
	// Method matches the request's method; "" matches all.
	Method string
	// Path matches when it is part of the request's path ("/manifests/v1").
	Path string
	// Skip lets that many matching requests pass first.
	Skip int
	// Times is how many of the next ones go wrong; 0 is all of them.
	Times int
	// Do answers instead of the registry.
	Do Action
}

// Action answers a request, perhaps with what next, the registry proper (or the
// rest of its faults), would have answered.
type Action func(w http.ResponseWriter, r *http.Request, next http.Handler)

// withFaults puts the faults before next, the first one outermost.
func withFaults(next http.Handler, faults []Fault) http.Handler {
	for i := len(faults) - 1; i >= 0; i-- {
		next = faults[i].Wrap(next)
	}
	return next
}

// Wrap returns next with the fault before it. Each call counts anew.
func (f Fault) Wrap(next http.Handler) http.Handler {
	var seen atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !f.matches(r) {
			next.ServeHTTP(w, r)
			return
		}
		n := int(seen.Add(1)) - f.Skip
		if n <= 0 || (f.Times > 0 && n > f.Times) {
			next.ServeHTTP(w, r)
			return
		}
		f.Do(w, r, next)
	})
}

func (f Fault) matches(r *http.Request) bool {
	return (f.Method == "" || f.Method == r.Method) && strings.Contains(r.URL.Path, f.Path)
}
