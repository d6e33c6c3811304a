// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package withcontext

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

var errStop = errors.New("stop")

// server answers with a header and a first line, says so on started, and then
// waits for the client to go away, unless the path is /whole.
func server(t *testing.T) (url string, started <-chan struct{}) {
	t.Helper()
	said := make(chan struct{}, 1)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/silent" {
			said <- struct{}{}
			<-r.Context().Done()
			return
		}
		_, _ = w.Write([]byte("line\n"))
		if r.URL.Path == "/whole" {
			return
		}
		_ = http.NewResponseController(w).Flush()
		said <- struct{}{}
		<-r.Context().Done()
	}))
	t.Cleanup(s.Close)
	return s.URL, said
}

func request(t *testing.T, ctx context.Context, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	url, _ := server(t)
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := RoundTrip(ctx, request(t, context.Background(), url+"/whole"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if data, err := io.ReadAll(resp.Body); err != nil || string(data) != "line\n" {
		t.Errorf("got %q and %v", data, err)
	}
	cancel() // afterwards it changes nothing
	if _, err := RoundTrip(t.Context(), request(t, t.Context(), "http://127.0.0.1:1/")); err == nil {
		t.Error("an address without a server answers")
	}
}

// TestRoundTripEnds: either context ends a request that waits for an answer, and
// one whose answer is being read.
func TestRoundTripEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(ours, own context.CancelCauseFunc){
		"given context": func(ours, _ context.CancelCauseFunc) { ours(errStop) },
		"its own":       func(_, own context.CancelCauseFunc) { own(errStop) },
	} {
		t.Run(name+", waiting", func(t *testing.T) {
			url, started := server(t)
			ours, endOurs := context.WithCancelCause(t.Context())
			own, endOwn := context.WithCancelCause(t.Context())
			go func() { // ends with the request
				<-started
				end(endOurs, endOwn)
			}()
			resp, err := RoundTrip(ours, request(t, own, url+"/silent"))
			if err == nil {
				resp.Body.Close()
				t.Fatal("a silent server has answered")
			}
			if !errors.Is(err, errStop) && !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
		t.Run(name+", reading", func(t *testing.T) {
			url, started := server(t)
			ours, endOurs := context.WithCancelCause(t.Context())
			own, endOwn := context.WithCancelCause(t.Context())
			resp, err := RoundTrip(ours, request(t, own, url+"/begun"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			<-started
			end(endOurs, endOwn)
			if data, err := io.ReadAll(resp.Body); err == nil {
				t.Errorf("an answer without end was read: %q", data)
			}
		})
	}
	// A context that has ended asks nobody.
	url, _ := server(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if resp, err := RoundTrip(ended, request(t, context.Background(), url+"/silent")); err == nil {
		resp.Body.Close()
		t.Error("asked after the end")
	}
}
