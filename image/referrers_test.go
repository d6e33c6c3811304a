// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// junkReferrers are n well-formed entries.
func junkReferrers(from, n int) []ocispec.Descriptor {
	var list []ocispec.Descriptor
	for i := range n {
		list = append(list, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(from + i)), Size: 10})
	}
	return list
}

func sendIndex(w http.ResponseWriter, list []ocispec.Descriptor) {
	w.Header().Set("Content-Type", ocispec.MediaTypeImageIndex)
	_ = json.NewEncoder(w).Encode(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: list})
}

// pages answers requests for list after list with a link from one to the next, which
// link words.
func pages(link string, lists ...[]ocispec.Descriptor) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		page, _ := strconv.Atoi(req.URL.Query().Get("page")) // 0 for the first
		if page+1 < len(lists) {
			w.Header().Set("Link", fmt.Sprintf(link, req.URL.Path, page+1))
		}
		sendIndex(w, lists[min(page, len(lists)-1)])
	}
}

func TestReferrersLimits(t *testing.T) {
	t.Parallel()
	endless := func(perPage int) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			page, _ := strconv.Atoi(req.URL.Query().Get("page"))
			w.Header().Set("Link", fmt.Sprintf(`<%s?page=%d>; rel="next"`, req.URL.Path, page+1))
			sendIndex(w, junkReferrers(page*perPage, perPage))
		}
	}
	bad := []ocispec.Descriptor{
		{MediaType: ocispec.MediaTypeImageManifest, Digest: "sha256:short", Size: 1},
		{MediaType: "text/html", Digest: someDigest, Size: 1},
	}
	wrongSizes := junkReferrers(0, 3)
	wrongSizes[0].Size, wrongSizes[1].Size, wrongSizes[2].Size = 0, -1, MaxManifest+1
	const usual, inner = `<%s?page=%d>; rel="next"`, `<http://registry.internal:5000%s?page=%d>; rel="next"`
	three := [][]ocispec.Descriptor{junkReferrers(0, 1), nil, junkReferrers(1, 1)}
	large := func(w http.ResponseWriter, req *http.Request) {
		page := httptest.NewRecorder()
		endless(1)(page, req)
		w.Header().Set("Link", page.Header().Get("Link"))
		_, _ = w.Write(append(page.Body.Bytes(), bytes.Repeat([]byte(" "), MaxManifest-page.Body.Len())...))
	}
	tests := []struct {
		name           string
		serve          http.HandlerFunc
		want, requests int
		text           string // of the error
	}{
		{name: "one request when there is the API", serve: pages(usual, junkReferrers(0, 2)), want: 2, requests: 1},
		{name: "too many", serve: pages(usual, junkReferrers(0, 2000)), want: MaxReferrers, requests: 1},
		{name: "pages, one empty", serve: pages(usual, three...), want: 2, requests: 3},
		{name: "pages, the first one empty", serve: pages(usual, nil, nil, junkReferrers(0, 1)), want: 1, requests: 3},
		{name: "pages of the registry's inner name", serve: pages(inner, three...), want: 2, requests: 3},
		{name: "link that cannot be followed", serve: pages(`<ftp://x%s?page=%d>; rel="next"`, three...), requests: 1, text: "cannot be followed"},
		{name: "such a link when there are enough", serve: pages(`<ftp://x%s?page=%d>; rel="next"`, junkReferrers(0, 2000), nil), want: MaxReferrers, requests: 1},
		{name: "the same page again", serve: func(w http.ResponseWriter, req *http.Request) {
			w.Header().Set("Link", `<http://thief.example/a/>; rel="next"`)
			sendIndex(w, junkReferrers(0, 1))
		}, requests: 2, text: "came before"},
		{name: "endless pages", serve: endless(1), requests: maxReferrerPages, text: "64 already"},
		{name: "endless full pages", serve: endless(600), want: MaxReferrers, requests: 2},
		{name: "large pages", serve: large, requests: 3, text: "over 8388608 bytes"},
		{name: "a later page is none", serve: func(w http.ResponseWriter, req *http.Request) {
			if req.URL.RawQuery != "" {
				http.NotFound(w, req)
				return
			}
			pages(usual, three...)(w, req)
		}, requests: 2, text: "no list of referrers"},
		{name: "bad ones hide no good one", serve: pages(usual, slices.Concat(bad, bad, junkReferrers(0, 1), junkReferrers(0, 1))), want: 1, requests: 1},
		{name: "wrong sizes", serve: pages(usual, wrongSizes), want: 3, requests: 1},
	}
	for _, tt := range tests {
		host, rec := serve(t, answer(tt.serve))
		list, err := testClient(t, RegistryOptions{}).Referrers(t.Context(), mustParse(t, host+"/a@"+someDigest))
		if len(list) != tt.want || (err == nil) != (tt.text == "") || err != nil && !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %d referrers, %v, want %d, %q", tt.name, len(list), err, tt.want, tt.text)
		}
		for _, desc := range list {
			if desc.Size < 0 || desc.Size > MaxManifest {
				t.Errorf("%s: an entry has %d bytes", tt.name, desc.Size)
			}
		}
		if got := len(rec.requests("/a/")); got != tt.requests {
			t.Errorf("%s: got %d requests, want %d", tt.name, got, tt.requests)
		}
	}
}

// TestReferrersAPIByContent: no header decides whether there is the API, and one that
// answers is not passed over.
func TestReferrersAPIByContent(t *testing.T) {
	t.Parallel()
	entry := `{"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"` + someDigest + `","size":9}`
	const index = ocispec.MediaTypeImageIndex
	const none, empty, one, bad = "no API", "no referrers", "one referrer", "an error"
	tests := []struct{ contentType, body, want string }{
		{index, `{"schemaVersion":2,"mediaType":"` + index + `","manifests":[` + entry + `]}`, one},
		{"application/json", `{"schemaVersion":2,"mediaType":"` + index + `","manifests":[` + entry + `]}`, one},
		{"", `{"schemaVersion":2,"manifests":[` + entry + `]}`, one},
		{"text/plain; charset=utf-8", `{"manifests":[` + entry + `]}`, one},
		{"application/json", `{"schemaVersion":2,"mediaType":"` + index + `","manifests":null}`, empty},
		{"application/json", `{"manifests":[]}`, empty},
		{"application/json", `{"schemaVersion":2}`, empty},
		{index, `{}`, empty},
		{"application/json", `{}`, none},
		{"application/json", `{"errors":[{"code":"UNSUPPORTED"}]}`, none},
		{index, `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageManifest + `"}`, none},
		{"application/json", `{"schemaVersion":2,"config":{}}`, none},
		{"text/html", `<html>`, none},
		{"application/json", ` <html>`, none},
		{"text/html", `[]`, none},
		{index, `]`, bad},
		{"application/json", `{"manifests":[` + entry, bad},
	}
	for _, tt := range tests {
		host, rec := serve(t, answer(func(w http.ResponseWriter, req *http.Request) {
			if strings.Contains(req.URL.Path, "/manifests/") {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			w.Header()["Content-Type"] = []string{tt.contentType}
			fmt.Fprint(w, tt.body)
		}))
		list, err := testClient(t, RegistryOptions{}).Referrers(t.Context(), mustParse(t, host+"/a@"+someDigest))
		got := empty
		switch {
		case err != nil:
			got = bad
		case len(list) == 1:
			got = one
		case len(rec.requests("/manifests/sha256-")) > 0:
			got = none
		}
		if got != tt.want {
			t.Errorf("%s as %q: got %s, %v, want %s", tt.body, tt.contentType, got, err, tt.want)
		}
	}
}

// TestReferrersElsewhere: GitHub sends those who are not logged in to its web site,
// which has no list and need not be reachable.
func TestReferrersElsewhere(t *testing.T) {
	t.Parallel()
	site, asked := serve(t, http.NotFoundHandler())
	for status, want := range map[int]int{http.StatusSeeOther: 0, http.StatusTemporaryRedirect: 1} {
		asked.reset()
		host, rec := serve(t, answer(func(w http.ResponseWriter, req *http.Request) {
			if strings.Contains(req.URL.Path, "/referrers/") {
				http.Redirect(w, req, "http://"+site+"/", status)
				return
			}
			sendIndex(w, junkReferrers(0, 1))
		}))
		list, err := testClient(t, RegistryOptions{}).Referrers(t.Context(), mustParse(t, host+"/a@"+someDigest))
		if err != nil || len(list) != 1 || len(rec.requests("/manifests/sha256-")) != 1 || len(asked.requests("/")) != want {
			t.Errorf("%d: got %v, %v, asked %v and elsewhere %v", status, list, err, rec.requests(""), asked.requests(""))
		}
	}
}

// TestFallbackTagReadAs: what else is at the fallback tag is no list of referrers, and
// no error either. What is on a malformed one cannot be known. A tag that is refused is
// missing where the image can be read.
func TestFallbackTagReadAs(t *testing.T) {
	t.Parallel()
	im := newImage(t, "subject", nil)
	send := func(contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			fmt.Fprint(w, body)
		}
	}
	image := func(w http.ResponseWriter, _ *http.Request) { sendManifest(w, im.manifest) }
	refused := registryError(http.StatusForbidden, "UNAUTHORIZED", "no")
	tests := []struct {
		name        string
		tag, digest http.HandlerFunc
		want        int
		wraps       error
		malformed   bool
	}{
		{"a list", func(w http.ResponseWriter, _ *http.Request) { sendIndex(w, junkReferrers(0, 2)) }, image, 2, nil, false},
		{"nothing", http.NotFound, image, 0, nil, false},
		{"the image itself", image, image, 0, nil, false},
		{"another image", func(w http.ResponseWriter, _ *http.Request) { sendManifest(w, newImage(t, "other", nil).manifest) }, image, 0, nil, false},
		{"Docker's index", send(dockerList, `{"schemaVersion":2,"mediaType":"`+dockerList+`","manifests":[]}`), image, 0, nil, false},
		{"no JSON", send("text/html", `<html>`), image, 0, nil, true},
		{"a malformed index", send(ocispec.MediaTypeImageIndex, `{"manifests":[1]}`), image, 0, nil, true},
		{"refused, as a missing tag is", refused, image, 0, nil, false},
		{"refused, as the image is", refused, refused, 0, ErrUnauthorized, false},
	}
	for _, tt := range tests {
		host, _ := serve(t, answer(func(w http.ResponseWriter, req *http.Request) {
			switch {
			case strings.Contains(req.URL.Path, "/referrers/"):
				http.NotFound(w, req)
			case strings.Contains(req.URL.Path, "/manifests/sha256-"):
				tt.tag(w, req)
			default:
				tt.digest(w, req)
			}
		}))
		list, err := testClient(t, RegistryOptions{}).Referrers(t.Context(), mustParse(t, host+"/a@"+im.manifest.Descriptor.Digest.String()))
		var format *formatError
		if errors.As(err, &format) != tt.malformed || len(list) != tt.want || !tt.malformed && !errors.Is(err, tt.wraps) {
			t.Errorf("%s: got %d referrers, %v", tt.name, len(list), err)
		}
	}
}

// TestFallbackTagIsTheIndex: what an index holds is not attached to it where a registry
// resolves the tag to the index itself.
func TestFallbackTagIsTheIndex(t *testing.T) {
	t.Parallel()
	page := httptest.NewRecorder()
	sendIndex(page, junkReferrers(0, 2))
	host, _ := serve(t, answer(func(w http.ResponseWriter, req *http.Request) {
		if strings.Contains(req.URL.Path, "/referrers/") {
			http.NotFound(w, req)
			return
		}
		sendIndex(w, junkReferrers(0, 2))
	}))
	index := digest.FromBytes(page.Body.Bytes())
	list, err := testClient(t, RegistryOptions{}).Referrers(t.Context(), mustParse(t, host+"/a@"+index.String()))
	if len(list) != 0 || err != nil {
		t.Errorf("got %d referrers, %v", len(list), err)
	}
}

// TestListThatLies: what a list says of a referrer's size and type is not believed,
// and keeps nothing from being copied or shown.
func TestListThatLies(t *testing.T) {
	t.Parallel()
	store, dst := newStore(t), newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	im, sig := newImage(t, "image", nil), newImage(t, "image", nil)
	sig = referrerOf(t, im.manifest, "sig")
	im.put(t, store, ref)
	at := ref.WithDigest(sig.manifest.Descriptor.Digest.String())
	sig.put(t, store, at)
	for _, size := range []int64{0, 1, sig.manifest.Descriptor.Size + 700} {
		lie := sig.manifest.Descriptor
		lie.Size, lie.ArtifactType, lie.MediaType = size, "application/vnd.oci.image.config.v1+json", ocispec.MediaTypeImageIndex
		src := listing{store, []ocispec.Descriptor{lie}}
		root, err := Tree(t.Context(), src, ref)
		if err != nil || len(root.Referrers) == 0 {
			t.Fatalf("%d: got %+v, %v", size, root, err)
		}
		if got := root.Referrers[0]; got.Problem != "" || got.Descriptor.Size != sig.manifest.Descriptor.Size ||
			got.Descriptor.MediaType != sig.manifest.Descriptor.MediaType || got.Descriptor.ArtifactType != "application/vnd.test.signature" {
			t.Errorf("%d: got %+v", size, got)
		}
		if _, err := Copy(t.Context(), dst, ref, src, ref, CopyOptions{Referrers: true}); err != nil {
			t.Fatal(err)
		}
		sig.check(t, dst, at)
	}
}

// TestFallbackTagKeepsEntries: entries of others, and all that is said of ours,
// survive updates; concurrent writers lose none.
func TestFallbackTagKeepsEntries(t *testing.T) {
	t.Parallel()
	host, _ := newRegistryServer(t, false)
	ref := mustParse(t, host+"/a:v1")
	r := testClient(t, RegistryOptions{})
	im := newImage(t, "subject", nil)
	im.put(t, r, ref)
	subject := ref.WithDigest(im.manifest.Descriptor.Digest.String())

	const writers = 8
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			sig := referrerOf(t, im.manifest, fmt.Sprint(i))
			if err := sig.tryPut(t.Context(), r, ref.WithDigest(sig.manifest.Descriptor.Digest.String())); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := r.Referrers(t.Context(), subject)
	if err != nil || len(list) != writers {
		t.Fatalf("got %d referrers, %v, want %d", len(list), err, writers)
	}
	seeds := map[string]bool{}
	for _, desc := range list {
		if desc.ArtifactType != "application/vnd.test.signature" {
			t.Errorf("the artifactType is lost: %+v", desc)
		}
		seeds[desc.Annotations["seed"]] = true
	}
	if len(seeds) != writers {
		t.Errorf("annotations are lost: %v", seeds)
	}
}

// TestFallbackTagOverwritten: another process that read the tag before we wrote it,
// and writes it after, takes nothing away.
func TestFallbackTagOverwritten(t *testing.T) {
	t.Parallel()
	im := newImage(t, "subject", nil)
	theirs, ours := referrerOf(t, im.manifest, "theirs"), referrerOf(t, im.manifest, "ours")
	synctest.Test(t, func(t *testing.T) {
		registry, err := testregistry.New(testregistry.Options{NoReferrers: true})
		if err != nil {
			t.Fatal(err)
		}
		var written [][]byte
		tag := "/manifests/sha256-" + im.manifest.Descriptor.Digest.Encoded()
		put := func(path string, data []byte) {
			req := httptest.NewRequest(http.MethodPut, path, bytes.NewReader(data))
			req.Header.Set("Content-Type", ocispec.MediaTypeImageIndex)
			registry.ServeHTTP(httptest.NewRecorder(), req)
		}
		r := testClient(t, RegistryOptions{Retry: Retry{Delay: time.Second}, Transport: testregistry.InProcess(
			http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
				if req.Method != http.MethodPut || !strings.HasSuffix(req.URL.Path, tag) {
					registry.ServeHTTP(w, req)
					return
				}
				data, _ := io.ReadAll(req.Body) // in memory
				put(req.URL.Path, data)
				if written = append(written, data); len(written) == 2 { // with ours added
					time.AfterFunc(100*time.Millisecond, func() { put(req.URL.Path, written[0]) })
				}
				w.WriteHeader(http.StatusCreated)
			}))})
		ref := mustParse(t, "localhost:1/a:v1")
		im.put(t, r, ref)
		for _, sig := range []testImage{theirs, ours} {
			sig.put(t, r, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
		}
		time.Sleep(time.Minute) // of a synctest bubble: whatever comes, has come
		list, err := r.Referrers(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String()))
		if err != nil || len(list) != 2 {
			t.Errorf("got %d referrers, %v, want both", len(list), err)
		}
	})
}

// TestFallbackTagOfAnotherKind is no list, and is not overwritten.
func TestFallbackTagOfAnotherKind(t *testing.T) {
	t.Parallel()
	host, _ := newRegistryServer(t, false)
	ref := mustParse(t, host+"/a:v1")
	r := testClient(t, RegistryOptions{})
	im := newImage(t, "subject", nil)
	im.put(t, r, ref)
	subject := ref.WithDigest(im.manifest.Descriptor.Digest.String())
	im.put(t, r, fallbackTag(subject))
	if list, err := r.Referrers(t.Context(), subject); err != nil || len(list) > 0 {
		t.Errorf("got %v, %v of an image", list, err)
	}
	sig := referrerOf(t, im.manifest, "x")
	at := ref.WithDigest(sig.manifest.Descriptor.Digest.String())
	if err := sig.tryPut(t.Context(), r, at); !errors.Is(err, ErrFallbackTaken) {
		t.Errorf("got %v, want ErrFallbackTaken", err)
	}
	if err := r.PutFallback(t.Context(), at, sig.manifest); !errors.Is(err, ErrFallbackTaken) {
		t.Errorf("got %v, want ErrFallbackTaken", err)
	}
	im.check(t, r, fallbackTag(subject))
}

// TestPutFallback: a registry that says it lists referrers, and does not, is helped.
func TestPutFallback(t *testing.T) {
	t.Parallel()
	im := newImage(t, "subject", nil)
	sig := referrerOf(t, im.manifest, "x")
	registry, err := testregistry.New(testregistry.Options{NoReferrers: true})
	if err != nil {
		t.Fatal(err)
	}
	// Its API answers while sig is put and looked for, with nothing.
	r := testClient(t, RegistryOptions{Transport: testregistry.InProcess(testregistry.Fault{
		Path: "/referrers/", Times: 2, Do: func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { sendIndex(w, nil) },
	}.Wrap(registry))})
	ref := mustParse(t, "localhost:1/a:v1")
	im.put(t, r, ref)
	at := ref.WithDigest(sig.manifest.Descriptor.Digest.String())
	subject := ref.WithDigest(im.manifest.Descriptor.Digest.String())
	sig.put(t, r, at)
	if list, err := r.Referrers(t.Context(), subject); err != nil || len(list) != 0 {
		t.Fatalf("got %v, %v: this test sees nothing", list, err)
	}
	for range 2 {
		if err := r.PutFallback(t.Context(), at, sig.manifest); err != nil {
			t.Fatal(err)
		}
		list, err := r.Referrers(t.Context(), subject)
		if err != nil || len(list) != 1 || list[0].ArtifactType != "application/vnd.test.signature" || list[0].Annotations["seed"] != "x" {
			t.Errorf("got %+v, %v", list, err)
		}
	}
	if err := r.PutFallback(t.Context(), subject, im.manifest); err == nil {
		t.Error("an image that refers to nothing was listed")
	}
}

// TestSubjectHeader: that the registry says it lists a referrer counts only where its
// API has answered, and is then asked once.
func TestSubjectHeader(t *testing.T) {
	t.Parallel()
	for _, api := range []bool{false, true} {
		im := newImage(t, "subject", nil)
		rec := &testregistry.Recorder{}
		registry, err := testregistry.New(testregistry.Options{NoReferrers: !api, Recorder: rec})
		if err != nil {
			t.Fatal(err)
		}
		r := testClient(t, RegistryOptions{Transport: testregistry.InProcess(testregistry.Fault{
			Method: http.MethodPut, Path: "/manifests/sha256:", Do: testregistry.Header(headerSubject, im.manifest.Descriptor.Digest.String()),
		}.Wrap(registry))})
		ref := mustParse(t, "localhost:1/a:v1")
		im.put(t, r, ref)
		for _, seed := range []string{"one", "two"} {
			sig := referrerOf(t, im.manifest, seed)
			sig.put(t, r, ref.WithDigest(sig.manifest.Descriptor.Digest.String()))
		}
		if got := rec.Count(http.MethodGet, "/referrers/"); api && got != 1 {
			t.Errorf("the API was asked %d times", got)
		}
		list, err := r.Referrers(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String()))
		if err != nil || len(list) != 2 {
			t.Errorf("API %t: got %+v, %v", api, list, err)
		}
		if got := rec.Count(http.MethodPut, "/manifests/sha256-"); (got > 0) == api {
			t.Errorf("API %t: the fallback tag was written %d times", api, got)
		}
	}
}

// TestImmutableAttachment: a fallback tag that the registry does not let be moved is
// left as it is, and the error says what it is for.
func TestImmutableAttachment(t *testing.T) {
	t.Parallel()
	profile, _ := testregistry.ProfileNamed("nexus-noredeploy")
	registry, err := testregistry.New(testregistry.Options{Profile: profile})
	if err != nil {
		t.Fatal(err)
	}
	r := testClient(t, RegistryOptions{Transport: testregistry.InProcess(registry)})
	ref := mustParse(t, "localhost:1/a:v1")
	im := newImage(t, "subject", nil)
	im.put(t, r, ref)
	one, two := referrerOf(t, im.manifest, "one"), referrerOf(t, im.manifest, "two")
	one.put(t, r, ref.WithDigest(one.manifest.Descriptor.Digest.String()))
	err = two.tryPut(t.Context(), r, ref.WithDigest(two.manifest.Descriptor.Digest.String()))
	if !errors.Is(err, ErrAttachmentImmutable) || !errors.Is(err, ErrImmutable) || !strings.Contains(err.Error(), ": tag sha256-") {
		t.Errorf("got %v", err)
	}
	list, err := r.Referrers(t.Context(), ref.WithDigest(im.manifest.Descriptor.Digest.String()))
	if err != nil || len(list) != 1 {
		t.Errorf("got %+v, %v", list, err)
	}
	// The tag of cosign 2's signatures is one of those.
	sig := ref.WithTag(strings.Replace(im.manifest.Descriptor.Digest.String(), ":", "-", 1) + ".sig")
	one = newImage(t, "one", nil)
	one.put(t, r, sig)
	two = newImage(t, "two", nil)
	if err := two.tryPut(t.Context(), r, sig); !errors.Is(err, ErrAttachmentImmutable) {
		t.Errorf("got %v", err)
	}
	if err := two.tryPut(t.Context(), r, ref); !errors.Is(err, ErrImmutable) || errors.Is(err, ErrAttachmentImmutable) {
		t.Errorf("got %v", err)
	}
}

func FuzzNewManifest(f *testing.F) {
	im := newImage(f, "fuzz", nil)
	f.Add(im.manifest.Bytes, im.manifest.Descriptor.MediaType)
	f.Add(newIndex(f, im.manifest).Bytes, "application/json")
	f.Add([]byte(`{"config":{},"manifests":[null]}`), "")
	f.Add([]byte(`{"mediaType":1}`), "text/html; x")
	f.Fuzz(func(t *testing.T, data []byte, declared string) {
		m, err := newManifest(data, declared, "")
		if err != nil {
			return
		}
		if kindOf(m.Descriptor.MediaType) == kindUnknown || checkContent(m.Bytes, m.Descriptor) != nil {
			t.Fatalf("%q as %q became %+v", data, declared, m.Descriptor)
		}
		if kindOf(m.Descriptor.MediaType) == kindImage {
			_, _ = blobsOf(m) // must not panic
		}
	})
}
