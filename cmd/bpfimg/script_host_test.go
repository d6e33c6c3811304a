// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"net/http"
	"net/http/httptest"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/rogpeppe/go-internal/testscript"
)

// scriptHosts are the further registries of one script.
type scriptHosts map[string]*httptest.Server

type hostsKey struct{}

// cmdHost is for scripts with several registries:
// host NAME [USER PASSWORD] starts one and sets NAME; with accounts, if they are given
// host stop NAME            stops it
func cmdHost(ts *testscript.TestScript, neg bool, args []string) {
	all, _ := ts.Value(hostsKey{}).(scriptHosts)
	switch {
	case neg || all == nil:
		ts.Fatalf("host cannot be negated")
	case len(args) == 2 && args[0] == "stop" && all[args[1]] != nil:
		refuse(ts, all[args[1]])
	case len(args) == 1 || len(args) == 3:
		store, err := testregistry.New(testregistry.Options{})
		ts.Check(err)
		var handler http.Handler = store
		if len(args) == 3 {
			handler = withAccount(store, args[1], args[2])
		}
		server := httptest.NewServer(handler)
		ts.Defer(server.Close)
		all[args[0]] = server
		ts.Setenv(args[0], server.Listener.Addr().String())
	default:
		ts.Fatalf("usage: host NAME [USER PASSWORD] | host stop NAME")
	}
}

// withAccount lets one account in.
func withAccount(h http.Handler, user, password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if u, p, _ := req.BasicAuth(); u != user || p != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, req)
	})
}
