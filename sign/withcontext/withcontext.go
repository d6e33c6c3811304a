// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package withcontext ends the requests of libraries that make them without a
// context.
//
// Door: [RoundTrip].
package withcontext

import (
	"context"
	"net/http"
)

// RoundTrip makes the request with Go's default transport. It ends with the
// request's own context, when its body was read, or with ctx.
func RoundTrip(ctx context.Context, req *http.Request) (*http.Response, error) {
	both, cancel := context.WithCancelCause(req.Context())
	context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	resp, err := http.DefaultTransport.RoundTrip(req.WithContext(both))
	if err != nil {
		cancel(nil)
	}
	return resp, err
}
