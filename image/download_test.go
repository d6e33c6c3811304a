// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/testregistry"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// bigBlob is n bytes that look like a compressed layer.
func bigBlob(n int) ([]byte, ocispec.Descriptor) {
	data := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(data) // never fails
	return data, describe(ocispec.MediaTypeImageLayerGzip, data)
}

// withRegistry serves a testregistry on loopback, through the faults.
func withRegistry(t *testing.T, opts testregistry.Options) (ref Reference, rec *testregistry.Recorder) {
	t.Helper()
	opts.Recorder = &testregistry.Recorder{}
	registry, err := testregistry.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	host, _ := serve(t, registry)
	return mustParse(t, host+"/net/a:v1"), opts.Recorder
}

// ranges are the Range or Content-Range headers of the requests so far whose
// path has part.
func ranges(rec *testregistry.Recorder, method, part string) (list []string) {
	for _, c := range rec.Calls() {
		if c.Method == method && strings.Contains(c.Path, part) {
			list = append(list, c.Range)
		}
	}
	return list
}

// TestDownloadResumes: where a download goes on after it was cut, by what the
// registry makes of it.
func TestDownloadResumes(t *testing.T) {
	t.Parallel()
	const size, cut = 300_000, 100_000
	data, desc := bigBlob(size)
	get := func(times int, do testregistry.Action) testregistry.Fault {
		return testregistry.Fault{Method: http.MethodGet, Path: "/blobs/", Times: times, Do: do}
	}
	cutAt := func(n int) testregistry.Action { return testregistry.Truncate(n) }
	second := func(do testregistry.Action) testregistry.Fault {
		f := get(1, do)
		f.Skip = 1
		return f
	}
	from := func(n int) string { return fmt.Sprintf("bytes=%d-", n) }
	tests := []struct {
		name   string
		faults []testregistry.Fault
		want   []string // Range headers
		fails  error
	}{
		{"nothing goes wrong", nil, []string{""}, nil},
		{"cut once", []testregistry.Fault{get(1, cutAt(cut))}, []string{"", from(cut)}, nil},
		{"cut twice", []testregistry.Fault{get(2, cutAt(cut))}, []string{"", from(cut), from(2 * cut)}, nil},
		{"cut too often", []testregistry.Fault{get(0, cutAt(10))}, []string{"", from(10), from(20)}, errAny},
		{"the range is ignored", []testregistry.Fault{get(1, cutAt(cut)), get(0, testregistry.IgnoreRange())}, []string{"", from(cut)}, nil},
		{"out of order for a moment", []testregistry.Fault{get(1, cutAt(cut)), second(testregistry.Status(503, "later"))}, []string{"", from(cut), from(cut)}, nil},
		{"the range is refused", []testregistry.Fault{get(1, cutAt(cut)), second(testregistry.Status(416, "no"))}, []string{"", from(cut), ""}, nil},
		{"another range is sent", []testregistry.Fault{get(1, cutAt(cut)), second(partFrom(cut - 1))}, []string{"", from(cut), ""}, nil},
		{"the blob is gone", []testregistry.Fault{get(1, cutAt(cut)), second(testregistry.Status(404, "gone"))}, []string{"", from(cut)}, ErrNotFound},
		{"a part is damaged", []testregistry.Fault{get(1, cutAt(cut)), second(testregistry.Corrupt())}, []string{"", from(cut), ""}, nil},
		{"all is damaged", []testregistry.Fault{get(0, testregistry.Corrupt())}, []string{""}, ErrDigestMismatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// The first fault is outermost; the first request only meets the first.
			slices.SortStableFunc(tt.faults, func(a, b testregistry.Fault) int { return b.Skip - a.Skip })
			ref, rec := withRegistry(t, testregistry.Options{Faults: tt.faults})
			r := testClient(t, RegistryOptions{})
			if err := r.PutBlob(t.Context(), ref, desc, data, ""); err != nil {
				t.Fatal(err)
			}
			got, err := r.Blob(t.Context(), ref, desc, MaxLayer)
			switch {
			case errors.Is(tt.fails, errAny) && err == nil, !errors.Is(tt.fails, errAny) && !errors.Is(err, tt.fails):
				t.Errorf("got %v, want %v", err, tt.fails)
			case tt.fails == nil && string(got) != string(data):
				t.Error("the blob is not the one that was put")
			}
			if got := ranges(rec, http.MethodGet, "/blobs/"); !slices.Equal(got, tt.want) {
				t.Errorf("got ranges %q, want %q", got, tt.want)
			}
		})
	}
}

// errAny stands for an error without a sentinel.
var errAny = errors.New("any error")

// partFrom answers with a part that begins at another byte.
func partFrom(first int) testregistry.Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		other := r.Clone(r.Context())
		other.Header.Set("Range", fmt.Sprintf("bytes=%d-", first))
		next.ServeHTTP(w, other)
	}
}

// TestProgressResetsAttempts: a line that breaks after every megabyte and a bit
// suffices; one on which the same megabyte comes again and again does not.
func TestProgressResetsAttempts(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(7 << 20)
	cut := testregistry.Fault{Method: http.MethodGet, Path: "/blobs/", Do: testregistry.Truncate(steadyProgress + 1000)}
	for name, row := range map[string]struct {
		faults []testregistry.Fault
		ok     bool
		most   int
	}{
		"onward": {[]testregistry.Fault{cut}, true, 7},
		// Bytes that were there before are no progress.
		"on the spot": {[]testregistry.Fault{cut, {Do: testregistry.IgnoreRange()}}, false, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref, rec := withRegistry(t, testregistry.Options{Faults: row.faults})
			r := testClient(t, RegistryOptions{})
			if err := r.PutBlob(t.Context(), ref, desc, data, ""); err != nil {
				t.Fatal(err)
			}
			got, err := r.Blob(t.Context(), ref, desc, MaxLayer)
			if (err == nil) != row.ok || row.ok && string(got) != string(data) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
			if n := rec.Count(http.MethodGet, "/blobs/"); n != row.most {
				t.Errorf("%d requests, want %d", n, row.most)
			}
		})
	}
}

// TestRedirectIsAskedAnew: a download goes on where the registry sends it then.
func TestRedirectIsAskedAnew(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(100_000)
	var asked atomic.Int32
	cdn, seen := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/1") {
			w.Header().Set("Content-Length", strconv.Itoa(len(data)))
			_, _ = w.Write(data[:40_000]) // the client sees the cut
			return
		}
		if req.Header.Get("Range") != "bytes=40000-" {
			t.Errorf("Range: %q", req.Header.Get("Range"))
		}
		w.Header().Set("Content-Range", "bytes 40000-99999/*")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[40_000:])
	}))
	host, _ := serve(t, answer(func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, fmt.Sprintf("http://%s/signed/%d", cdn, asked.Add(1)), http.StatusTemporaryRedirect)
	}))
	got, err := testClient(t, RegistryOptions{Keychain: keys(host)}).Blob(t.Context(), mustParse(t, host+"/a:v1"), desc, MaxLayer)
	if err != nil || string(got) != string(data) {
		t.Fatalf("got %d bytes, %v", len(got), err)
	}
	if paths := seen.requests(""); !slices.Equal(paths, []string{"GET /signed/1", "GET /signed/2"}) || seen.carriesSecret() {
		t.Errorf("the store was asked for %v", paths)
	}
}

// TestStalledDownload: a connection that went silent is left, and the download
// goes on through another one.
func TestStalledDownload(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(1000)
	var n atomic.Int32
	host, _ := serve(t, answer(func(w http.ResponseWriter, req *http.Request) {
		if n.Add(1) == 1 {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(data[:10])
			_ = http.NewResponseController(w).Flush()
			<-req.Context().Done() // the client hangs up
			return
		}
		w.Header().Set("Content-Range", "bytes 10-999/1000")
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(data[10:])
	}))
	r := testClient(t, RegistryOptions{IdleTimeout: shortIdle})
	got, err := r.Blob(t.Context(), mustParse(t, host+"/a:v1"), desc, MaxLayer)
	if err != nil || string(got) != string(data) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// TestByteASecond: a registry that answers a byte a second is never silent; the
// caller's deadline ends it.
func TestByteASecond(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(1000)
	ref, _ := withRegistry(t, testregistry.Options{Faults: []testregistry.Fault{
		{Method: http.MethodGet, Path: "/blobs/", Do: testregistry.Drip(1, time.Second)},
	}})
	r := testClient(t, RegistryOptions{})
	if err := r.PutBlob(t.Context(), ref, desc, data, ""); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := r.Blob(ctx, ref, desc, MaxLayer); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want DeadlineExceeded", err)
	}
}

// FuzzContinues: whatever a registry says of its part, one is taken only if it
// goes on exactly where the buffer ends.
func FuzzContinues(f *testing.F) {
	f.Add("bytes 3-9/10", int64(7))
	f.Add("bytes 3-5/*", int64(-1))
	f.Add("3-9/10", int64(7))
	f.Add("bytes 03-9/10", int64(-116)) // a position is any number of digits (RFC 9110, 14.1.1)
	f.Add("bytes 999999999999999999-999999999999999999/10", int64(1))
	f.Fuzz(func(t *testing.T, header string, length int64) {
		d := &download{desc: ocispec.Descriptor{Size: 10}}
		d.buf.WriteString("abc")
		resp := &http.Response{StatusCode: http.StatusPartialContent, Header: http.Header{"Content-Range": {header}}, ContentLength: length}
		positions, inBytes := strings.CutPrefix(header, "bytes ")
		if d.continues(resp) && (!inBytes || !strings.HasPrefix(strings.TrimLeft(positions, "0"), "3-") || length > 7) {
			t.Errorf("%q of %d bytes was taken", header, length)
		}
	})
}
