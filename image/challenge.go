// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"net/http"
	"sync/atomic"
)

// challengeWatch notes whether anybody asks for credentials.
type challengeWatch struct {
	inner http.RoundTripper
	seen  atomic.Bool
}

// RoundTrip implements [http.RoundTripper].
func (w *challengeWatch) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := w.inner.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		w.seen.Store(true)
	}
	return resp, err
}
