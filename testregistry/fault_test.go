// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bpfimg/bpfimg/internal/excerpt"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
)

// faulty returns a client of a registry with one image a:v1 behind the fault.
func faulty(t *testing.T, f testregistry.Fault) (client, string) {
	t.Helper()
	r := newRegistry(t, testregistry.Options{})
	c := newClient(t, r)
	m := c.putImage("a", "v1", "layer", nil)
	c.putImage("a", "v2", "another layer", nil)
	return newClient(t, f.Wrap(r)), m.Digest.String()
}

func TestFaultsChooseRequests(t *testing.T) {
	t.Parallel()
	fail := testregistry.Status(http.StatusInternalServerError, "no")
	for name, row := range map[string]struct {
		fault testregistry.Fault
		want  string // of GET v1, GET v2, HEAD v1, GET v1
	}{
		"all":      {testregistry.Fault{Do: fail}, "500 500 500 500"},
		"method":   {testregistry.Fault{Method: "HEAD", Do: fail}, "200 200 500 200"},
		"path":     {testregistry.Fault{Path: "/manifests/v2", Do: fail}, "200 500 200 200"},
		"times":    {testregistry.Fault{Times: 2, Do: fail}, "500 500 200 200"},
		"skip":     {testregistry.Fault{Skip: 1, Times: 1, Do: fail}, "200 500 200 200"},
		"combined": {testregistry.Fault{Method: "GET", Path: "v1", Skip: 1, Do: fail}, "200 200 200 500"},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := faulty(t, row.fault)
			var got []string
			for _, r := range [][2]string{{"GET", "v1"}, {"GET", "v2"}, {"HEAD", "v1"}, {"GET", "v1"}} {
				if c.do(r[0], "/v2/a/manifests/"+r[1], "").status == http.StatusOK {
					got = append(got, "200")
				} else {
					got = append(got, "500")
				}
			}
			if s := strings.Join(got, " "); s != row.want {
				t.Errorf("got %s, want %s", s, row.want)
			}
		})
	}
}

func TestFaultsInOptionsTryInOrder(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(t, testregistry.Options{Faults: []testregistry.Fault{
		{Times: 1, Do: testregistry.Status(http.StatusUnauthorized, "first")},
		{Times: 1, Do: testregistry.Status(http.StatusForbidden, "second")},
	}}))
	for _, want := range []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusOK} {
		c.do("GET", "/v2/", "").want(t, want)
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	real, _ := faulty(t, testregistry.Fault{Path: "never", Do: testregistry.Hang()})
	v1 := real.do("GET", "/v2/a/manifests/v1", "")
	v2 := real.do("GET", "/v2/a/manifests/v2", "")
	const escape = "\x1b[31mred\x00"
	for name, row := range map[string]struct {
		do    testregistry.Action
		check func(answer) bool
	}{
		"control characters": {testregistry.Status(429, escape), func(a answer) bool {
			var body struct {
				Errors []struct{ Code, Message string }
			}
			err := json.Unmarshal([]byte(a.body), &body)
			return err == nil && a.status == 429 && body.Errors[0].Message == escape && body.Errors[0].Code == "TOOMANYREQUESTS"
		}},
		"retry after": {testregistry.RetryAfter(503, 1500*time.Millisecond), func(a answer) bool {
			return a.status == 503 && a.header.Get("Retry-After") == "2"
		}},
		"header": {testregistry.Header("Warning", "299 - x"), func(a answer) bool {
			return a.body == v1.body && a.header.Get("Warning") == "299 - x"
		}},
		"truncated": {testregistry.Truncate(10), func(a answer) bool { return isCut(a.err) && a.body == v1.body[:10] }},
		"corrupted": {testregistry.Corrupt(), func(a answer) bool {
			return len(a.body) == len(v1.body) && a.body != v1.body && a.header.Get("Docker-Content-Digest") == digest.FromString(v1.body).String()
		}},
		"replaced": {testregistry.Replace([]byte("{}")), func(a answer) bool { return a.body == "{}" && a.err == nil }},
		"padded": {testregistry.Pad(5 << 20), func(a answer) bool {
			return len(a.body) == 5<<20 && json.Valid([]byte(a.body)) && strings.HasPrefix(a.body, v1.body)
		}},
		"moved": {testregistry.MoveTo("v2"), func(a answer) bool { return a.body == v2.body }},
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := faulty(t, testregistry.Fault{Path: "/manifests/", Do: row.do})
			if a := c.do("GET", "/v2/a/manifests/v1", ""); !row.check(a) {
				t.Errorf("got %d %q %v (%v)", a.status, clip(a.body), a.header, a.err)
			}
		})
	}
}

func clip(s string) string { return excerpt.Of(s, 200) }

func TestRedirect(t *testing.T) {
	t.Parallel()
	c, _ := faulty(t, testregistry.Fault{Path: "/manifests/v1", Do: testregistry.Redirect("/v2/a/manifests/v2")})
	if a := c.do("GET", "/v2/a/manifests/v1", "").want(t, http.StatusOK); !strings.Contains(a.body, digest.FromString("another layer").String()) {
		t.Errorf("got %s", a.body)
	}
}

func TestTagThatMoves(t *testing.T) {
	t.Parallel()
	c, v1 := faulty(t, testregistry.Fault{Path: "/manifests/v1", Skip: 1, Do: testregistry.MoveTo("v2")})
	first := c.do("GET", "/v2/a/manifests/v1", "").header.Get("Docker-Content-Digest")
	second := c.do("GET", "/v2/a/manifests/v1", "").header.Get("Docker-Content-Digest")
	if first != v1 || second == v1 {
		t.Errorf("first %s, then %s", first, second)
	}
}

func TestJunkReferrers(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, testregistry.Options{})
	plain := newClient(t, r)
	m := plain.putImage("a", "v1", "layer", nil)
	real := plain.putImage("a", "", "signature", &m)
	path := "/v2/a/referrers/" + m.Digest.String()

	many := newClient(t, testregistry.Fault{Path: "/referrers/", Do: testregistry.ManyReferrers(10, 9990)}.Wrap(r))
	list, _ := many.referrers(path)
	if len(list) != 10001 || list[10].Digest != real.Digest || list[9].Digest == list[11].Digest {
		t.Errorf("%d referrers", len(list))
	}

	endless := newClient(t, testregistry.Fault{Path: "/referrers/", Do: testregistry.EndlessReferrers()}.Wrap(r))
	seen := map[digest.Digest]bool{}
	for range 5 {
		list, a := endless.referrers(path)
		for _, d := range list {
			seen[d.Digest] = true
		}
		next, _, _ := strings.Cut(strings.TrimPrefix(a.header.Get("Link"), "<"), ">")
		if path = next; path == "" {
			t.Fatal("there must always be a next page")
		}
	}
	if len(seen) != 500 {
		t.Errorf("%d different entries on five pages", len(seen))
	}
}

func TestLatencyAndRoundTrips(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		recorder := &testregistry.Recorder{}
		c := newClient(t, newRegistry(t, testregistry.Options{Latency: time.Second, Recorder: recorder}))
		begin := time.Now()
		c.do("GET", "/v2/", "").want(t, http.StatusOK)
		done := make(chan answer)
		for range 3 {
			go func() { done <- c.do("GET", "/v2/a/manifests/v1", "") }()
		}
		for range 3 {
			(<-done).want(t, http.StatusNotFound)
		}
		c.do("HEAD", "/v2/", "").want(t, http.StatusOK)
		if got := recorder.RoundTrips(); got != 3 {
			t.Errorf("%d round trips, want 3: %+v", got, recorder.Calls())
		}
		if took := time.Since(begin); took != 3*time.Second {
			t.Errorf("took %s of the bubble's time", took)
		}
		if all, gets := recorder.Count("", ""), recorder.Count("GET", "/manifests/"); all != 5 || gets != 3 {
			t.Errorf("%d requests, %d of manifests", all, gets)
		}
		if last := recorder.Calls()[4]; last.Status != http.StatusOK || last.End <= last.Start {
			t.Errorf("%+v", last)
		}
	})
}

func TestDripAndHangEndWithTheClient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, _ := faulty(t, testregistry.Fault{Path: "/manifests/v1", Do: testregistry.Drip(10, time.Second)})
		begin := time.Now()
		a := c.do("GET", "/v2/a/manifests/v1", "").want(t, http.StatusOK)
		if want := time.Duration((len(a.body)+9)/10) * time.Second; time.Since(begin) != want {
			t.Errorf("%d bytes took %s, want %s", len(a.body), time.Since(begin), want)
		}
		for _, do := range []testregistry.Action{testregistry.Drip(1, time.Hour), testregistry.Hang()} {
			c, _ := faulty(t, testregistry.Fault{Path: "/manifests/v1", Do: do})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if a := c.doContext(ctx, "GET", "/v2/a/manifests/v1", ""); !errors.Is(a.err, context.DeadlineExceeded) {
				t.Errorf("got %+v", a)
			}
			cancel()
		}
	})
}

// TestTransfersCutInTheMiddle: what a client finds that asks again.
func TestTransfersCutInTheMiddle(t *testing.T) {
	t.Parallel()
	r := newRegistry(t, testregistry.Options{})
	plain := newClient(t, r)
	d := plain.putBlob("a", "0123456789").Digest.String()
	start := func() string { return plain.do("POST", "/v2/a/blobs/uploads/", "").header.Get("Location") }

	at := start()
	cut := newClient(t, testregistry.Fault{Method: "PATCH", Do: testregistry.CutUpload(4)}.Wrap(r))
	if a := cut.do("PATCH", at, "abcdefgh", "Content-Range", "0-7"); !isCut(a.err) {
		t.Errorf("got %+v, want a cut connection", a)
	}
	if got := plain.do("GET", at, "").want(t, http.StatusNoContent).header.Get("Range"); got != "0-3" {
		t.Errorf("after 4 bytes: %q", got)
	}
	lost := newClient(t, testregistry.Fault{Method: "PATCH", Do: testregistry.LoseAnswer()}.Wrap(r))
	if a := lost.do("PATCH", at, "efgh", "Content-Range", "4-7"); !isCut(a.err) {
		t.Errorf("got %+v, want no answer", a)
	}
	if got := plain.do("GET", at, "").want(t, http.StatusNoContent).header.Get("Range"); got != "0-7" {
		t.Errorf("after 8 bytes: %q", got)
	}

	whole := newClient(t, testregistry.Fault{Do: testregistry.IgnoreRange()}.Wrap(r))
	if a := whole.do("GET", "/v2/a/blobs/"+d, "", "Range", "bytes=3-").want(t, http.StatusOK); a.body != "0123456789" {
		t.Errorf("got %q", a.body)
	}
	part := newClient(t, testregistry.Fault{Do: testregistry.Truncate(2)}.Wrap(r))
	if a := part.do("GET", "/v2/a/blobs/"+d, "", "Range", "bytes=3-"); !isCut(a.err) || a.body != "34" || a.status != http.StatusPartialContent {
		t.Errorf("got %+v", a)
	}
}

func TestChunkRules(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(t, testregistry.Options{MinChunk: 4}))
	a := c.do("POST", "/v2/a/blobs/uploads/", "").want(t, http.StatusAccepted)
	if got := a.header.Get("OCI-Chunk-Min-Length"); got != "4" {
		t.Errorf("OCI-Chunk-Min-Length: %q", got)
	}
	at := a.header.Get("Location")
	c.do("PATCH", at, "0123", "Content-Range", "0-3").want(t, http.StatusAccepted)
	c.do("PATCH", at, "45", "Content-Range", "4-5").want(t, http.StatusAccepted) // may be the last
	c.do("PATCH", at, "6789", "Content-Range", "6-9").want(t, http.StatusRequestedRangeNotSatisfiable)
	c.do("PUT", at+"?digest="+digest.FromString("012345").String(), "").want(t, http.StatusCreated)

	c = newClient(t, newRegistry(t, testregistry.Options{NoChunks: true}))
	at = c.do("POST", "/v2/a/blobs/uploads/", "").header.Get("Location")
	c.do("PATCH", at, "0123", "Content-Range", "0-3").want(t, http.StatusMethodNotAllowed)
	c.do("PUT", at+"?digest="+digest.FromString("0123").String(), "0123").want(t, http.StatusCreated)
}

func TestFlood(t *testing.T) {
	t.Parallel()
	c, _ := faulty(t, testregistry.Fault{Path: "/manifests/v1", Do: testregistry.Flood("text/x", 200_001)})
	a := c.do("GET", "/v2/a/manifests/v1", "").want(t, http.StatusOK)
	if len(a.body) != 200_001 || strings.Trim(a.body, " ") != "" || a.header.Get("Content-Length") != "200001" || a.header.Get("Content-Type") != "text/x" {
		t.Errorf("%d bytes, %v", len(a.body), a.header)
	}
	// Without an end it ends with the client, over a real connection.
	server := httptest.NewServer(testregistry.Fault{Do: testregistry.Flood("text/x", -1)}.Wrap(http.NotFoundHandler()))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, resp.Body, 1<<20); n != 1<<20 || resp.ContentLength != -1 {
		t.Errorf("%d bytes of %d: %v", n, resp.ContentLength, err)
	}
	resp.Body.Close()
	server.Close() // waits for the handler
}
