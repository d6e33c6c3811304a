// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
)

// requestLog is every request so far as "PATCH 0-9"; the ping is left out.
func requestLog(rec *testregistry.Recorder) (list []string) {
	for _, c := range rec.Calls() {
		if c.Path != "/v2/" {
			list = append(list, strings.TrimSpace(c.Method+" "+c.Range))
		}
	}
	return list
}

// withHeader lets the registry answer, with another header than its own.
func withHeader(key, value string) testregistry.Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&changedWriter{w, key, value, 0}, r)
	}
}

// withStatus lets the registry answer, with another status if it is a success.
func withStatus(status int) testregistry.Action {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		next.ServeHTTP(&changedWriter{w, "", "", status}, r)
	}
}

// changedWriter changes what is set as the answer begins.
type changedWriter struct {
	http.ResponseWriter
	key, value string
	status     int
}

func (w *changedWriter) WriteHeader(status int) {
	if w.key != "" {
		w.Header().Set(w.key, w.value)
	}
	if w.status != 0 && status/100 == 2 {
		status = w.status
	}
	w.ResponseWriter.WriteHeader(status)
}

// uploadRow is one way an upload goes: the blob's size in bytes, chunks being 40,
// and the requests it takes.
type uploadRow struct {
	name string
	size int
	opts testregistry.Options
	want string
	ok   bool
}

func uploadRows() []uploadRow {
	fault := func(method string, skip, times int, do testregistry.Action) []testregistry.Fault {
		return []testregistry.Fault{{Method: method, Path: "/blobs/uploads/", Skip: skip, Times: times, Do: do}}
	}
	begin, parts := "HEAD|POST|", "PATCH 0-39|PATCH 40-79|PATCH 80-99|PUT"
	return []uploadRow{
		{"small", 40, testregistry.Options{}, begin + "PUT", true},
		{"small, cut", 40, testregistry.Options{Faults: fault("PUT", 0, 1, testregistry.CutUpload(20))}, begin + "PUT|" + begin + "PUT", true},
		{"small, the answer is lost", 40, testregistry.Options{Faults: fault("PUT", 0, 1, testregistry.LoseAnswer())}, begin + "PUT|HEAD", true},
		{"small, its upload is gone", 40, testregistry.Options{Faults: fault("PUT", 0, 1, testregistry.Status(404, "gone"))}, begin + "PUT|" + begin + "PUT", true},
		{"in chunks", 100, testregistry.Options{}, begin + parts, true},
		{"larger chunks are asked for", 100, testregistry.Options{MinChunk: 60}, begin + "PATCH 0-59|PATCH 60-99|PUT", true},
		{"one chunk is asked for", 100, testregistry.Options{MinChunk: 100}, begin + "PUT", true},
		{
			"cut in a chunk", 100,
			testregistry.Options{Faults: fault("PATCH", 1, 1, testregistry.CutUpload(7))},
			begin + "PATCH 0-39|PATCH 40-79|GET|PATCH 47-86|PATCH 87-99|PUT", true,
		},
		{
			"cut before the first byte", 100,
			testregistry.Options{Faults: fault("PATCH", 0, 1, testregistry.CutUpload(0))},
			begin + "PATCH 0-39|GET|" + parts, true,
		},
		{
			"the answer to a chunk is lost", 100,
			testregistry.Options{Faults: fault("PATCH", 0, 1, testregistry.LoseAnswer())},
			begin + "PATCH 0-39|GET|PATCH 40-79|PATCH 80-99|PUT", true,
		},
		{
			"the last answer is lost", 100,
			testregistry.Options{Faults: fault("PUT", 0, 1, testregistry.LoseAnswer())},
			begin + parts + "|GET|HEAD", true,
		},
		{
			"out of order for a moment", 100,
			testregistry.Options{Faults: fault("PATCH", 2, 1, testregistry.Status(503, "later"))},
			begin + "PATCH 0-39|PATCH 40-79|PATCH 80-99|GET|PATCH 80-99|PUT", true,
		},
		{
			"the upload is gone", 100,
			testregistry.Options{Faults: fault("PATCH", 1, 1, testregistry.Status(404, "gone"))},
			begin + "PATCH 0-39|PATCH 40-79|" + begin + parts, true,
		},
		{
			"the byte it wants is refused", 100,
			testregistry.Options{Faults: fault("PATCH", 1, 0, testregistry.Status(416, "no"))},
			begin + "PATCH 0-39|PATCH 40-79|GET|" + begin + "PUT", true,
		},
		{
			"another byte is wanted", 100,
			testregistry.Options{Faults: append(fault("PATCH", 1, 1, testregistry.Status(416, "no")), fault("GET", 0, 1, withHeader("Range", "0-19"))...)},
			begin + "PATCH 0-39|PATCH 40-79|GET|PATCH 20-59|GET|PATCH 40-79|PATCH 80-99|PUT", true,
		},
		{"chunks are refused", 100, testregistry.Options{Faults: fault("PATCH", 0, 0, testregistry.Status(416, "too large"))}, begin + "PATCH 0-39|" + begin + "PUT", true},
		{"a later chunk is refused", 100, testregistry.Options{Faults: fault("PATCH", 1, 0, testregistry.Status(400, "no"))}, begin + "PATCH 0-39|PATCH 40-79|" + begin + "PUT", true},
		{
			"smaller chunks are asked for", 100,
			testregistry.Options{Faults: fault("POST", 0, 0, testregistry.Header("OCI-Chunk-Max-Length", "30"))},
			begin + "PATCH 0-29|PATCH 30-59|PATCH 60-89|PATCH 90-99|PUT", true,
		},
		{
			"what is asked for makes no sense", 100,
			testregistry.Options{Faults: append(fault("POST", 0, 0, testregistry.Header("OCI-Chunk-Max-Length", "-1")), fault("POST", 0, 0, testregistry.Header("OCI-Chunk-Min-Length", "many"))...)},
			begin + parts, true,
		},
		{"its range stands still", 100, testregistry.Options{Faults: fault("PATCH", 1, 0, withHeader("Range", "0-39"))}, begin + parts, true},
		{
			"its range stands still, and a chunk is cut", 100,
			testregistry.Options{Faults: append(fault("PATCH", 2, 1, testregistry.CutUpload(3)), fault("PATCH", 1, 0, withHeader("Range", "0-39"))...)},
			begin + parts[:len(parts)-len("|PUT")] + "|" + begin + parts, true,
		},
		{
			"its range stands still, and so does the upload", 100,
			testregistry.Options{Faults: fault("PATCH", 1, 0, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				w.Header().Set("Range", "0-39")
				w.WriteHeader(http.StatusCreated)
			})},
			begin + parts + "|" + begin + "PUT", true,
		},
		{"any success will do", 100, testregistry.Options{Faults: append(fault("POST", 0, 0, withStatus(200)), append(fault("PATCH", 0, 0, withStatus(200)), fault("PUT", 0, 0, withStatus(202))...)...)}, begin + parts, true},
		{"any success will do, small", 40, testregistry.Options{Faults: append(fault("POST", 0, 0, withStatus(201)), fault("PUT", 0, 0, withStatus(200))...)}, begin + "PUT", true},
		{
			"no status to be had", 100,
			testregistry.Options{Faults: append(fault("PATCH", 1, 1, testregistry.CutUpload(7)), fault("GET", 0, 1, testregistry.Status(405, "no"))...)},
			begin + "PATCH 0-39|PATCH 40-79|GET|" + begin + parts, true,
		},
		{"no chunks", 100, testregistry.Options{NoChunks: true}, begin + "PATCH 0-39|" + begin + "PUT", true},
		{
			"never", 100,
			testregistry.Options{Faults: fault("PATCH", 1, 0, testregistry.CutUpload(0))},
			begin + "PATCH 0-39|PATCH 40-79|GET|PATCH 40-79|GET|PATCH 40-79", false,
		},
		{"refused", 100, testregistry.Options{Faults: fault("PATCH", 0, 0, testregistry.Status(403, "no"))}, begin + "PATCH 0-39", false},
		{"too large for it", 100, testregistry.Options{MaxBlob: 60}, begin + "PATCH 0-39|PATCH 40-79", false},
	}
}

// TestUpload: which requests bring a blob into a registry, whatever goes wrong.
func TestUpload(t *testing.T) {
	t.Parallel()
	const chunk = 40
	data, desc := bigBlob(100)
	for _, tt := range uploadRows() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ref, rec := withRegistry(t, tt.opts)
			data, desc := data[:tt.size], describe(desc.MediaType, data[:tt.size])
			var done int64
			r := testClient(t, RegistryOptions{ChunkSize: chunk, Progress: func(e Event) { done = e.Done }})
			err := r.PutBlob(t.Context(), ref, desc, data, "")
			var answer *RegistryError
			if (err == nil) != tt.ok || err != nil && !errors.As(err, &answer) {
				t.Errorf("got %v", err)
			}
			if got := strings.Join(requestLog(rec), "|"); got != tt.want {
				t.Errorf("requests\n got %s\nwant %s", got, tt.want)
			}
			if !tt.ok {
				return
			}
			if got, err := r.Blob(t.Context(), ref, desc, MaxLayer); err != nil || string(got) != string(data) || done != desc.Size {
				t.Errorf("reading it back: %d bytes, %v; progress ended at %d", len(got), err, done)
			}
		})
	}
}

// TestMountIsOnlyTried: a registry that cannot mount gets the bytes.
func TestMountIsOnlyTried(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(100)
	post := func(do testregistry.Action) testregistry.Options {
		return testregistry.Options{Faults: []testregistry.Fault{{Method: http.MethodPost, Times: 1, Do: do}}}
	}
	for name, row := range map[string]struct {
		opts testregistry.Options
		from string
		want string
	}{
		"there":               {testregistry.Options{}, "net/b", "HEAD|POST"},
		"the same repository": {testregistry.Options{}, "net/a", "HEAD|POST|PUT"},
		"nowhere":             {testregistry.Options{}, "net/c", "HEAD|POST|PUT"},
		"refused":             {post(testregistry.Status(400, "no")), "net/b", "HEAD|POST|POST|PUT"},
		"broken":              {post(testregistry.Status(500, "no")), "net/b", "HEAD|POST|HEAD|POST|PUT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec := &testregistry.Recorder{}
			faults := row.opts.Faults
			registry, err := testregistry.New(testregistry.Options{})
			if err != nil {
				t.Fatal(err)
			}
			host, _ := serve(t, registry)
			if err := testClient(t, RegistryOptions{}).PutBlob(t.Context(), mustParse(t, host+"/net/b:v1"), desc, data, ""); err != nil {
				t.Fatal(err)
			}
			var handler http.Handler = registry
			for _, f := range faults {
				handler = f.Wrap(handler)
			}
			host, _ = serve(t, rec.Wrap(handler))
			r := testClient(t, RegistryOptions{})
			if err := r.PutBlob(t.Context(), mustParse(t, host+"/net/a:v1"), desc, data, row.from); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(requestLog(rec), "|"); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

// TestMountAsksForBothScopes: a token that is good for one repository only is
// exchanged for one that may read the other too.
func TestMountAsksForBothScopes(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(10)
	const wanted = "repository:net/b:pull"
	host, rec := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		scopes := strings.Join(req.URL.Query()["scope"], " ")
		switch {
		case req.URL.Path == "/token":
			fmt.Fprintf(w, `{"token":%q}`, scopes)
		case req.Header.Get("Authorization") == "" || req.Method == http.MethodPost && !strings.Contains(req.Header.Get("Authorization"), wanted):
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+req.Host+`/token",service="s",scope="`+wanted+`"`)
			w.WriteHeader(http.StatusUnauthorized)
		case req.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case req.Method == http.MethodPost && req.FormValue("mount") != "":
			w.WriteHeader(http.StatusCreated)
		}
	}))
	if err := testClient(t, RegistryOptions{}).PutBlob(t.Context(), mustParse(t, host+"/net/a:v1"), desc, data, "net/b"); err != nil {
		t.Fatal(err)
	}
	if got := rec.requests("PUT"); len(got) != 0 {
		t.Errorf("it was uploaded: %v", got)
	}
}

// TestUploadAfterNewToken: the body is sent again with the new token, whole.
func TestUploadAfterNewToken(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(100)
	registry, err := testregistry.New(testregistry.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokens := 0
	host, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		good := fmt.Sprintf("Bearer %d", tokens)
		switch {
		case req.URL.Path == "/token":
			tokens++
			fmt.Fprintf(w, `{"token":"%d"}`, tokens)
		case req.Method == http.MethodPut && tokens < 2, req.Header.Get("Authorization") != good:
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+req.Host+`/token",service="s"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			registry.ServeHTTP(w, req)
		}
	}))
	r := testClient(t, RegistryOptions{})
	ref := mustParse(t, host+"/net/a:v1")
	if err := r.PutBlob(t.Context(), ref, desc, data, ""); err != nil || tokens != 2 {
		t.Fatalf("%v, %d tokens", err, tokens)
	}
}

// TestUploadElsewhere: where a registry may send an upload to, and that its
// credentials do not go there.
func TestUploadElsewhere(t *testing.T) {
	t.Parallel()
	data, desc := bigBlob(10)
	store, seen := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) }))
	start := func(location string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			switch {
			case req.Header.Get("Authorization") != basicHeader():
				w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
				w.WriteHeader(http.StatusUnauthorized)
			case req.Method == http.MethodHead:
				w.WriteHeader(http.StatusNotFound)
			case req.Method == http.MethodPost:
				w.Header().Set("Location", location)
				w.WriteHeader(http.StatusAccepted)
			}
		})
	}
	host, _ := serve(t, start("http://"+store+"/signed?state=x&digest=old"))
	err := testClient(t, RegistryOptions{Keychain: keys(host)}).PutBlob(t.Context(), mustParse(t, host+"/a:v1"), desc, data, "")
	if err != nil || seen.carriesSecret() || !slices.Equal(seen.requests(""), []string{"PUT /signed"}) {
		t.Errorf("%v; the store was asked for %v, with credentials: %t", err, seen.requests(""), seen.carriesSecret())
	}
	seen.reset()
	for name, location := range map[string]string{
		"no location":          "",
		"malformed":            "http://[::1",
		"metadata service":     "https://169.254.169.254/latest",
		"this machine":         "https://" + store + "/x",
		"out of encryption":    "http://registry.other/x",
		"another scheme":       "file:///etc/passwd",
		"odd spelling of IPv4": "https://2130706433/x",
	} {
		server := httptest.NewTLSServer(start(location))
		t.Cleanup(server.Close)
		r := testClient(t, RegistryOptions{Keychain: keys("registry.example"), Transport: dialTo(strings.TrimPrefix(server.URL, "https://"))})
		err := r.PutBlob(t.Context(), mustParse(t, "registry.example/a:v1"), desc, data, "")
		if err == nil || len(seen.requests("")) != 0 {
			t.Errorf("%s: got %v, and requests %v", name, err, seen.requests(""))
		}
	}
}

func FuzzUploadState(f *testing.F) {
	f.Add("0-9", "/v2/a/blobs/uploads/x?y=1")
	f.Add("bytes=0-0", "//thief/")
	f.Add("bytes 0-999999999999999999", "http://127.0.0.1/")
	f.Fuzz(func(t *testing.T, header, location string) {
		from := mustURL(t, "https://ghcr.io/v2/a/blobs/uploads/")
		resp := &http.Response{Header: http.Header{"Range": {header}, "Location": {location}}, Request: &http.Request{URL: from}}
		if n, said := uploadedBytes(resp); n < 0 || !said && n != 0 {
			t.Errorf("%q: %d, %t", header, n, said)
		}
		u := &upload{}
		if err := u.follow(resp); err == nil && (u.at.Scheme != "https" || isInternal(u.at.Hostname())) {
			t.Errorf("%q leads to %s", location, u.at)
		}
	})
}
