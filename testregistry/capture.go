// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
)

// capture is a [http.ResponseWriter] that keeps the whole answer.
type capture struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func newCapture() *capture { return &capture{header: http.Header{}} }

func (c *capture) Header() http.Header { return c.header }

func (c *capture) WriteHeader(status int) {
	if c.status == 0 {
		c.status = status
	}
}

func (c *capture) Write(p []byte) (int, error) {
	c.WriteHeader(http.StatusOK)
	return c.body.Write(p)
}

// Flush implements [http.Flusher]; there is nothing to wait for.
func (c *capture) Flush() {}

// replay writes the answer's status and header to w, without its body.
func (c *capture) replay(w http.ResponseWriter) {
	for k, v := range c.header {
		w.Header()[k] = v
	}
	w.WriteHeader(max(c.status, http.StatusOK))
}

// InProcess returns a transport that hands every request to h, whatever host it
// is for, in the goroutine that makes it. There is no network below it, so that
// it can be used in a testing/synctest bubble, where latencies cost no time. It
// knows https and http alike.
func InProcess(h http.Handler) http.RoundTripper { return inProcess{h} }

type inProcess struct{ handler http.Handler }

// RoundTrip implements [http.RoundTripper].
func (t inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer req.Body.Close() // as a transport must
	}
	inner := req.Clone(req.Context())
	if inner.Body == nil {
		inner.Body = http.NoBody
	}
	inner.Host = req.URL.Host
	if req.Host != "" {
		inner.Host = req.Host
	}
	answer := newCapture()
	if err := serveWhole(t.handler, answer, inner); err != nil {
		return nil, err
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	return answer.response(req)
}

// serveWhole turns a connection that h cuts into the error a client gets then.
func serveWhole(h http.Handler, w http.ResponseWriter, req *http.Request) (err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = io.ErrUnexpectedEOF
		default:
			panic(p) // a bug of the handler, which is the test's to see
		}
	}()
	h.ServeHTTP(w, req)
	return nil
}

// response is the answer as a client sees it.
func (c *capture) response(req *http.Request) (*http.Response, error) {
	status := max(c.status, http.StatusOK)
	resp := &http.Response{
		Status:        strconv.Itoa(status) + " " + http.StatusText(status),
		StatusCode:    status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        c.header,
		ContentLength: int64(c.body.Len()),
		Request:       req,
	}
	var body io.Reader = &c.body
	if declared, err := strconv.ParseInt(c.header.Get("Content-Length"), 10, 64); err == nil {
		resp.ContentLength = declared
		if declared > int64(c.body.Len()) {
			body = io.MultiReader(body, cutOff{})
		}
	}
	if req.Method == http.MethodHead {
		body = http.NoBody
	}
	resp.Body = io.NopCloser(body)
	return resp, nil
}

// cutOff is the end of a body that is shorter than announced.
type cutOff struct{}

func (cutOff) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
