// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"bytes"
	"net/http"
	"strconv"
)

// floodChunk is how many bytes [Flood] writes at a time.
const floodChunk = 64 << 10

// Flood answers with size bytes of spaces, announced as such, or with spaces
// until the client goes away when size is negative. It holds none of them in
// memory. contentType is what the answer says it is.
func Flood(contentType string, size int64) Action {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		w.Header().Set("Content-Type", contentType)
		if size >= 0 {
			w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		}
		w.WriteHeader(http.StatusOK)
		if r.Method == http.MethodHead {
			return
		}
		chunk := bytes.Repeat([]byte(" "), floodChunk)
		for left := size; left != 0; {
			n := int64(len(chunk))
			if left > 0 {
				n = min(n, left)
				left -= n
			}
			if _, err := w.Write(chunk[:n]); err != nil {
				return // the client is gone
			}
		}
	}
}
