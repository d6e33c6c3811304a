// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/bpfimg/bpfimg/internal/boundedjson"
)

// asked is a request a deviation looks at.
type asked struct {
	*http.Request
	route
}

// on applies do to the requests of a kind whose method is among those, separated by
// spaces; "" for all.
func on(k kind, methods string, do func(r *Registry, w http.ResponseWriter, a asked, next http.Handler)) deviation {
	return func(r *Registry, next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			rt := parseRoute(req.URL.Path)
			if rt.kind != k || methods != "" && !strings.Contains(" "+methods+" ", " "+req.Method+" ") {
				next.ServeHTTP(w, req)
				return
			}
			do(r, w, asked{req, rt}, next)
		})
	}
}

// refusing answers with what check has against a request, if anything.
func refusing(k kind, methods string, check func(r *Registry, a asked) *apiError) deviation {
	return on(k, methods, func(r *Registry, w http.ResponseWriter, a asked, next http.Handler) {
		if err := check(r, a); err != nil {
			writeError(w, err)
			return
		}
		next.ServeHTTP(w, a.Request)
	})
}

// pushed is a manifest on its way in.
type pushed struct {
	asked
	data []byte
	head manifestHead
	// tag it is pushed as; "" for its digest.
	tag string
}

// refusingManifest answers with what check has against a manifest that is pushed.
// What is no JSON, or too large, passes: the registry proper refuses it.
func refusingManifest(check func(r *Registry, p pushed) *apiError) deviation {
	return refusing(kindManifest, http.MethodPut, func(r *Registry, a asked) *apiError {
		p := pushed{asked: a, data: peek(a.Request, r.opts.MaxManifest), tag: a.target}
		if wholeDigest().MatchString(a.target) {
			p.tag = ""
		}
		if boundedjson.Unmarshal(p.data, &p.head) != nil {
			return nil
		}
		return check(r, p)
	})
}

// peek reads up to limit bytes of the body and one more, and puts them back.
func peek(req *http.Request, limit int64) []byte {
	data, err := io.ReadAll(io.LimitReader(req.Body, limit+1))
	rest := io.Reader(req.Body)
	if err != nil {
		rest = failed{err}
	}
	req.Body = io.NopCloser(io.MultiReader(bytes.NewReader(data), rest))
	return data
}

// failed is a body that broke off.
type failed struct{ err error }

func (f failed) Read([]byte) (int, error) { return 0, f.err }

// answering lets the registry answer requests of a kind, and change have the answer
// before it is sent.
func answering(k kind, methods string, change func(r *Registry, a asked, answer *capture)) deviation {
	return on(k, methods, func(r *Registry, w http.ResponseWriter, a asked, next http.Handler) {
		answer := newCapture()
		next.ServeHTTP(answer, a.Request)
		change(r, a, answer)
		answer.replay(w)
		if a.Method != http.MethodHead {
			_, _ = w.Write(answer.body.Bytes()) // the client is gone, nobody to tell
		}
	})
}

// setBody replaces the answer's body.
func (c *capture) setBody(body []byte) {
	c.body.Reset()
	c.body.Write(body)
	c.header.Del("Content-Length") // net/http counts again
}

// baseURL is how the client reaches the registry.
func baseURL(req *http.Request) string {
	if req.TLS != nil {
		return "https://" + req.Host
	}
	return "http://" + req.Host
}

// otherHost is another name of this server, so that a redirect there leads to another
// host in the eyes of a client. It listens under one address only, and so names that
// are not of this machine go on below storage.
func otherHost(req *http.Request) string {
	host, port, err := net.SplitHostPort(req.Host)
	if err != nil {
		host, port = req.Host, ""
	}
	switch {
	case host == "localhost":
		host = "127.0.0.1"
	case net.ParseIP(host) != nil:
		host = "localhost"
	default:
		host = "storage." + host
	}
	if port != "" {
		host = net.JoinHostPort(host, port)
	}
	return strings.Replace(baseURL(req), req.Host, host, 1)
}

// errorBody decodes the registry's own errors.
func errorBody(body []byte) (list []map[string]any, err error) {
	var all struct {
		Errors []map[string]any `json:"errors"`
	}
	if err := boundedjson.Unmarshal(body, &all); err != nil {
		return nil, err
	}
	if len(all.Errors) == 0 {
		return nil, errors.New("no errors")
	}
	return all.Errors, nil
}
