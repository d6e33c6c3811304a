// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// apiError is an error answer (OCI distribution spec, "Error Codes").
type apiError struct {
	status        int
	code, message string
	// detail is what some vendors add, in a form of their own; nil: nothing.
	detail any
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.code, e.message) }

func refuse(status int, code, format string, args ...any) *apiError {
	return &apiError{status: status, code: code, message: fmt.Sprintf(format, args...)}
}

func internal(err error) *apiError {
	return refuse(http.StatusInternalServerError, "UNKNOWN", "%v", err)
}

func errMethod(r *http.Request) *apiError {
	return refuse(http.StatusMethodNotAllowed, "UNSUPPORTED", "%s is not supported here", r.Method)
}

func writeError(w http.ResponseWriter, e *apiError) {
	type item struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}
	body, err := json.Marshal(map[string][]item{"errors": {{e.code, e.message, e.detail}}})
	if err != nil {
		body = nil // strings and maps of strings always marshal
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(e.status)
	_, _ = w.Write(body) // the client is gone, nobody to tell
}

// writeJSON answers with v as a document of the media type.
func writeJSON(w http.ResponseWriter, mediaType string, v any) *apiError {
	body, err := json.Marshal(v)
	if err != nil {
		return internal(err)
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body)
	return nil
}
