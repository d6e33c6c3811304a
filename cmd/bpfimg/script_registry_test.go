// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/rogpeppe/go-internal/testscript"
)

// scriptRegistry is the registry of one script, whose faults can change.
type scriptRegistry struct {
	server *httptest.Server
	store  *testregistry.Registry

	mu     sync.Mutex
	faults []testregistry.Fault
}

type registryKey struct{}

// ServeHTTP implements [http.Handler].
func (r *scriptRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	var handler http.Handler = r.store
	for _, f := range r.faults {
		handler = f.Wrap(handler)
	}
	r.mu.Unlock()
	handler.ServeHTTP(w, req)
}

// cmdRegistry is the script's registry:
// registry                              starts it and sets REGISTRY
// registry fault METHOD PATH ACTION[=N] makes requests whose path has PATH go wrong
// registry heal                         ends all faults
// registry stop                         stops it
func cmdRegistry(ts *testscript.TestScript, neg bool, args []string) {
	r, _ := ts.Value(registryKey{}).(*scriptRegistry)
	switch {
	case neg || r == nil:
		ts.Fatalf("registry cannot be negated")
	case len(args) == 0:
		r.server = httptest.NewServer(r)
		ts.Defer(r.server.Close)
		ts.Setenv("REGISTRY", r.server.Listener.Addr().String())
	case args[0] == "stop":
		r.server.Close()
	case args[0] == "heal":
		r.mu.Lock()
		defer r.mu.Unlock()
		r.faults = nil
	case args[0] == "fault" && len(args) == 4:
		name, value, _ := strings.Cut(args[3], "=")
		r.mu.Lock()
		defer r.mu.Unlock()
		r.faults = append(r.faults, testregistry.Fault{Method: args[1], Path: args[2], Do: faultAction(ts, name, value)})
	default:
		ts.Fatalf("usage: registry [fault METHOD PATH ACTION[=N] | heal | stop]")
	}
}

func faultAction(ts *testscript.TestScript, name, value string) testregistry.Action {
	number := func() int {
		n, err := strconv.Atoi(value)
		ts.Check(err)
		return n
	}
	switch name {
	case "status":
		return testregistry.Status(number(), "out of order \x1b[31mred\x1b[0m")
	case "truncate":
		return testregistry.Truncate(number())
	case "corrupt":
		return testregistry.Corrupt()
	case "pad":
		return testregistry.Pad(number())
	case "hang":
		return testregistry.Hang()
	case "moveto":
		return testregistry.MoveTo(value)
	case "junkreferrers":
		return testregistry.ManyReferrers(number(), number())
	}
	ts.Fatalf("no fault %q", name)
	return nil
}
