// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/rogpeppe/go-internal/testscript"
)

// scriptRegistry is the registry of one script, whose faults can change.
type scriptRegistry struct {
	server *httptest.Server
	store  *testregistry.Registry

	mu       sync.Mutex
	faults   []testregistry.Fault
	recorder *testregistry.Recorder // nil: nobody counts
}

type registryKey struct{}

// latency is far above what two requests made side by side start apart.
const latency = 300 * time.Millisecond

// ServeHTTP implements [http.Handler].
func (r *scriptRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	var handler http.Handler = r.store
	for _, f := range r.faults {
		handler = f.Wrap(handler)
	}
	if r.recorder != nil {
		handler = r.recorder.Wrap(handler)
	}
	r.mu.Unlock()
	handler.ServeHTTP(w, req)
}

// cmdRegistry is the script's registry:
// registry                              starts it and sets REGISTRY
// registry fault METHOD PATH ACTION[=N] makes requests whose path has PATH go wrong
// registry heal                         ends all faults
// registry count                        starts counting round trips, at a latency
// registry roundtrips N                 wants at most N of them since
// registry requests N                   wants at most N requests since
// registry once METHOD PATH             wants each path that has PATH asked for once since
// registry only METHOD PATH             wants one request since, besides the handshake, and this
// registry seen METHOD PATH             waits until such a request came
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
		refuse(ts, r.server)
	case args[0] == "count":
		r.mu.Lock()
		defer r.mu.Unlock()
		r.recorder = &testregistry.Recorder{}
		// Requests made side by side must overlap to be told from a sequence.
		r.faults = append(r.faults, testregistry.Fault{Do: testregistry.Delay(latency)})
	case args[0] == "roundtrips" && len(args) == 2:
		limit, err := strconv.Atoi(args[1])
		ts.Check(err)
		if got := r.recorder.RoundTrips(); got > limit || got == 0 {
			ts.Fatalf("%d sequential round trips, want at most %d: %v", got, limit, r.recorder.Calls())
		}
	case args[0] == "requests" && len(args) == 2:
		limit, err := strconv.Atoi(args[1])
		ts.Check(err)
		if got := r.recorder.Count("", ""); got > limit || got == 0 {
			ts.Fatalf("%d requests, want at most %d: %v", got, limit, r.recorder.Calls())
		}
	case args[0] == "once" && len(args) == 3:
		r.wantOnce(ts, args[1], args[2])
	case args[0] == "only" && len(args) == 3:
		r.wantOnly(ts, args[1], args[2])
	case args[0] == "seen" && len(args) == 3:
		r.awaitRequest(ts, args[1], args[2])
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
		ts.Fatalf("usage: registry [fault METHOD PATH ACTION[=N] | heal | count | roundtrips N | requests N | once METHOD PATH | only METHOD PATH | seen METHOD PATH | stop]")
	}
}

// refuse ends a server and keeps its port, where somebody else's new server would
// answer what is to be refused.
func refuse(ts *testscript.TestScript, server *httptest.Server) {
	server.Close()
	at, err := netip.ParseAddrPort(server.Listener.Addr().String())
	ts.Check(err)
	_, release, err := holdPort(at.Port())
	ts.Check(err)
	ts.Defer(release)
}

// wantOnce fails unless there were requests and none was made again.
func (r *scriptRegistry) wantOnce(ts *testscript.TestScript, method, part string) {
	times := map[string]int{}
	for _, c := range r.recorder.Calls() {
		if c.Method == method && strings.Contains(c.Path, part) {
			times[c.Path]++
		}
	}
	if len(times) == 0 {
		ts.Fatalf("no %s of a path with %s", method, part)
	}
	for path, n := range times {
		if n != 1 {
			ts.Fatalf("%s %s: %d times", method, path, n)
		}
	}
}

// wantOnly fails unless there was one such request, and no other but the handshake's.
func (r *scriptRegistry) wantOnly(ts *testscript.TestScript, method, part string) {
	var calls []testregistry.Call
	for _, c := range r.recorder.Calls() {
		if c.Path != "/v2/" {
			calls = append(calls, c)
		}
	}
	if len(calls) != 1 || calls[0].Method != method || !strings.Contains(calls[0].Path, part) {
		ts.Fatalf("want %s of a path with %s alone, got %v", method, part, r.recorder.Calls())
	}
}

// awaitRequest waits for a request, under a deadline.
func (r *scriptRegistry) awaitRequest(ts *testscript.TestScript, method, part string) {
	if !soon(func() bool { return r.recorder.Count(method, part) > 0 }) {
		ts.Fatalf("nobody asked for %s %s", method, part)
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
	case "withoutquery":
		return testregistry.WithoutQuery()
	case "junkreferrers":
		return testregistry.ManyReferrers(number(), number())
	}
	ts.Fatalf("no fault %q", name)
	return nil
}
