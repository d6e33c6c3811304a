// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

const indexType = ocispec.MediaTypeImageIndex

func TestUploadProtocol(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(t, testregistry.Options{MaxBlob: 64}))
	const content = "hello, blob"
	d := digest.FromString(content).String()
	start := func() string {
		a := c.do("POST", "/v2/a/blobs/uploads/", "").want(t, http.StatusAccepted)
		return a.header.Get("Location")
	}

	t.Run("in parts", func(t *testing.T) {
		at := start()
		c.do("PATCH", at, "hello,", "Content-Range", "0-5").want(t, http.StatusAccepted)
		c.do("PATCH", at, "oops", "Content-Range", "1-4").want(t, http.StatusRequestedRangeNotSatisfiable)
		if got := c.do("GET", at, "").want(t, http.StatusNoContent).header.Get("Range"); got != "0-5" {
			t.Errorf("Range: %q", got)
		}
		c.do("PUT", at+"?digest="+d, " blob", "Content-Range", "6-10").want(t, http.StatusCreated)
		if got := c.do("GET", "/v2/a/blobs/"+d, "").want(t, http.StatusOK).body; got != content {
			t.Errorf("got %q", got)
		}
		c.do("PUT", at+"?digest="+d, "").want(t, http.StatusNotFound)
	})
	t.Run("wrong digest", func(t *testing.T) {
		at := start()
		c.do("PATCH", at, "something else").want(t, http.StatusAccepted)
		c.do("PUT", at+"?digest="+d, "").want(t, http.StatusBadRequest)
		c.do("POST", "/v2/a/blobs/uploads/?digest="+d, "something else").want(t, http.StatusBadRequest)
		other := digest.FromString("something else").String()
		c.do("GET", "/v2/a/blobs/"+other, "").want(t, http.StatusNotFound)
	})
	t.Run("no digest", func(t *testing.T) {
		c.do("PUT", start(), content).want(t, http.StatusBadRequest)
		c.do("PUT", start()+"?digest=sha256:../../x", content).want(t, http.StatusBadRequest)
	})
	t.Run("too large", func(t *testing.T) {
		big := strings.Repeat("x", 65)
		c.do("POST", "/v2/a/blobs/uploads/?digest="+digest.FromString(big).String(), big).want(t, http.StatusRequestEntityTooLarge)
		at := start()
		c.do("PATCH", at, big[:40]).want(t, http.StatusAccepted)
		c.do("PATCH", at, big[:40]).want(t, http.StatusRequestEntityTooLarge)
	})
	t.Run("another repository's upload", func(t *testing.T) {
		at := start()
		c.do("PATCH", strings.Replace(at, "/v2/a/", "/v2/b/", 1), "x").want(t, http.StatusNotFound)
	})
	t.Run("cancelled", func(t *testing.T) {
		at := start()
		c.do("DELETE", at, "").want(t, http.StatusNoContent)
		c.do("PATCH", at, "x").want(t, http.StatusNotFound)
	})
}

func TestAbandonedUploadsAreForgotten(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(t, testregistry.Options{MaxBlob: 10}))
	var at []string
	for range 3 {
		at = append(at, c.do("POST", "/v2/a/blobs/uploads/", "").header.Get("Location"))
		c.do("PATCH", at[len(at)-1], "0123456789").want(t, http.StatusAccepted)
	}
	c.do("GET", at[0], "").want(t, http.StatusNotFound) // made room for the third
	c.do("GET", at[2], "").want(t, http.StatusNoContent)
}

func TestBlobsBelongToRepositories(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(t, testregistry.Options{}))
	d := c.putBlob("from/here", "content").Digest.String()
	c.do("HEAD", "/v2/to/there/blobs/"+d, "").want(t, http.StatusNotFound)

	upload := "/v2/to/there/blobs/uploads/?mount=" + d + "&from="
	if a := c.do("POST", upload+"no/where", "").want(t, http.StatusAccepted); a.header.Get("Location") == "" {
		t.Error("a mount that cannot be must start an upload")
	}
	c.do("POST", upload+"from/here", "").want(t, http.StatusCreated)
	if got := c.do("GET", "/v2/to/there/blobs/"+d, "").want(t, http.StatusOK).body; got != "content" {
		t.Errorf("got %q", got)
	}
	c.do("DELETE", "/v2/from/here/blobs/"+d, "").want(t, http.StatusAccepted)
	c.do("GET", "/v2/from/here/blobs/"+d, "").want(t, http.StatusNotFound)
	c.do("GET", "/v2/to/there/blobs/"+d, "").want(t, http.StatusOK)
}

func TestRanges(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{"", t.TempDir()} {
		c := newClient(t, newRegistry(t, testregistry.Options{Dir: dir}))
		d := c.putBlob("a", "0123456789").Digest.String()
		for header, want := range map[string]string{"bytes=3-": "3456789", "bytes=2-4": "234", "bytes=8-99": "89"} {
			if got := c.do("GET", "/v2/a/blobs/"+d, "", "Range", header).want(t, http.StatusPartialContent); got.body != want {
				t.Errorf("%s: got %q, want %q", header, got.body, want)
			}
		}
		for _, header := range []string{"bytes=99-", "bytes=5-2"} {
			c.do("GET", "/v2/a/blobs/"+d, "", "Range", header).want(t, http.StatusRequestedRangeNotSatisfiable)
		}
		c.do("GET", "/v2/a/blobs/"+d, "", "Range", "bytes=-2").want(t, http.StatusOK)
	}
}

func TestManifests(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(t, testregistry.Options{MaxManifest: 1000}))
	m := c.putImage("a/b", "v1", "layer", nil)
	for _, target := range []string{"v1", m.Digest.String()} {
		a := c.do("GET", "/v2/a/b/manifests/"+target, "").want(t, http.StatusOK)
		if digest.FromString(a.body) != m.Digest || a.header.Get("Content-Type") != m.MediaType || a.header.Get("Docker-Content-Digest") != m.Digest.String() {
			t.Errorf("%s: %+v", target, a)
		}
		c.do("HEAD", "/v2/a/b/manifests/"+target, "").want(t, http.StatusOK)
	}
	put := func(target, mediaType, body string) answer {
		return c.do("PUT", "/v2/a/b/manifests/"+target, body, "Content-Type", mediaType)
	}
	missing := `"digest":"` + digest.FromString("missing").String() + `","size":7`
	for name, row := range map[string]struct {
		answer answer
		status int
	}{
		"not JSON":        {put("x", ocispec.MediaTypeImageManifest, "nonsense"), 400},
		"two types":       {put("x", ocispec.MediaTypeImageManifest, `{"mediaType":"`+indexType+`"}`), 400},
		"no type":         {put("x", "", `{}`), 400},
		"another digest":  {put(m.Digest.String(), ocispec.MediaTypeImageManifest, `{"schemaVersion":2}`), 400},
		"too large":       {put("x", ocispec.MediaTypeImageManifest, strings.Repeat(" ", 1001)), 413},
		"missing blob":    {put("x", ocispec.MediaTypeImageManifest, `{"layers":[{`+missing+`}]}`), 404},
		"missing child":   {put("x", indexType, `{"manifests":[{`+missing+`}]}`), 404},
		"bad tag":         {put("-x", ocispec.MediaTypeImageManifest, `{}`), 400},
		"unknown":         {c.do("GET", "/v2/a/b/manifests/v2", ""), 404},
		"unknown name":    {c.do("GET", "/v2/a/c/manifests/v1", ""), 404},
		"wrong method":    {c.do("POST", "/v2/a/b/manifests/v1", ""), 405},
		"path in name":    {c.do("GET", "/v2/../b/manifests/v1", ""), 404},
		"name over limit": {c.do("GET", "/v2/"+strings.Repeat("a", 256)+"/manifests/v1", ""), 404},
	} {
		t.Run(name, func(t *testing.T) { row.answer.want(t, row.status) })
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(t, testregistry.Options{Dir: t.TempDir()}))
	m := c.putImage("a", "v1", "layer", nil)
	c.putImage("a", "v2", "layer", nil)
	c.do("DELETE", "/v2/a/manifests/v1", "").want(t, http.StatusAccepted)
	c.do("GET", "/v2/a/manifests/v1", "").want(t, http.StatusNotFound)
	c.do("GET", "/v2/a/manifests/v2", "").want(t, http.StatusOK)
	c.do("DELETE", "/v2/a/manifests/"+m.Digest.String(), "").want(t, http.StatusAccepted)
	c.do("GET", "/v2/a/manifests/v2", "").want(t, http.StatusNotFound)
	c.do("DELETE", "/v2/a/manifests/v2", "").want(t, http.StatusNotFound)
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(t, testregistry.Options{PageSize: 2}))
	subject := c.putImage("a", "v1", "layer", nil)
	path := "/v2/a/referrers/" + subject.Digest.String()
	if list, _ := c.referrers(path); len(list) != 0 {
		t.Fatalf("before there are any: %v", list)
	}
	want := map[digest.Digest]bool{}
	for _, content := range []string{"one", "two", "three"} {
		want[c.putImage("a", "", content, &subject).Digest] = true
	}
	got := map[digest.Digest]bool{}
	for next := path; next != ""; {
		list, a := c.referrers(next)
		if len(list) > 2 {
			t.Fatalf("a page of %d", len(list))
		}
		for _, d := range list {
			got[d.Digest] = true
			if d.ArtifactType != "application/vnd.test" {
				t.Errorf("artifactType %q: it must be the manifest's, not the config's", d.ArtifactType)
			}
		}
		m := regexp.MustCompile(`^<(.*)>; rel="next"$`).FindStringSubmatch(a.header.Get("Link"))
		if next = ""; m != nil {
			next = m[1]
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if list, a := c.referrers(path + "?artifactType=none"); len(list) != 0 || a.header.Get("OCI-Filters-Applied") != "artifactType" {
		t.Errorf("filtered: %v", list)
	}
}

func TestNoReferrers(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(t, testregistry.Options{NoReferrers: true}))
	subject := c.putImage("a", "v1", "layer", nil)
	c.do("GET", "/v2/a/referrers/"+subject.Digest.String(), "").want(t, http.StatusNotFound)
}

func TestLists(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(t, testregistry.Options{}))
	for _, tag := range []string{"c", "a", "b"} {
		c.putImage("x/y", tag, "layer", nil)
	}
	for query, want := range map[string]string{
		"":           `["a","b","c"]`,
		"?n=2":       `["a","b"]`,
		"?last=a":    `["b","c"]`,
		"?last=zzz":  `[]`,
		"?n=0":       `[]`,
		"?last=ab":   `["b","c"]`,
		"?n=1&last=": `["a"]`,
	} {
		var got struct{ Tags json.RawMessage }
		a := c.do("GET", "/v2/x/y/tags/list"+query, "").want(t, http.StatusOK)
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || string(got.Tags) != want {
			t.Errorf("%q: got %s (%v), want %s", query, got.Tags, err, want)
		}
	}
	c.do("GET", "/v2/x/y/tags/list?n=-1", "").want(t, http.StatusBadRequest)
	c.do("GET", "/v2/nobody/tags/list", "").want(t, http.StatusNotFound)
	if a := c.do("GET", "/v2/_catalog", "").want(t, http.StatusOK); !strings.Contains(a.body, `["x/y"]`) {
		t.Errorf("catalog: %s", a.body)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClient(t, newRegistry(t, testregistry.Options{Dir: dir}))
	m := c.putImage("net/a", "v1", "layer", nil)
	c.putImage("net/a", "", "signature", &m)
	index := `{"schemaVersion":2,"mediaType":"` + indexType + `","manifests":[{"mediaType":"` + m.MediaType + `","digest":"` + m.Digest.String() + `","size":1}]}`
	c.do("PUT", "/v2/net/a/manifests/multi", index, "Content-Type", indexType).want(t, http.StatusCreated)
	gone := c.putImage("net/a", "gone", "another layer", nil)
	c.do("DELETE", "/v2/net/a/manifests/"+gone.Digest.String(), "").want(t, http.StatusAccepted)

	c = newClient(t, newRegistry(t, testregistry.Options{Dir: dir}))
	if got := c.do("GET", "/v2/net/a/manifests/v1", "").want(t, http.StatusOK); digest.FromString(got.body) != m.Digest || got.header.Get("Content-Type") != m.MediaType {
		t.Errorf("got %+v", got)
	}
	if got := c.do("GET", "/v2/net/a/manifests/multi", "").want(t, http.StatusOK); got.body != index {
		t.Errorf("got %s", got.body)
	}
	c.do("GET", "/v2/net/a/manifests/gone", "").want(t, http.StatusNotFound)
	c.do("GET", "/v2/net/a/blobs/"+digest.FromString("layer").String(), "").want(t, http.StatusOK)
	if list, _ := c.referrers("/v2/net/a/referrers/" + m.Digest.String()); len(list) != 1 {
		t.Errorf("referrers: %v", list)
	}
}

func TestDamagedFilesAreLeftOut(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClient(t, newRegistry(t, testregistry.Options{Dir: dir}))
	bad := c.putImage("a", "bad", "layer one", nil)
	good := c.putImage("a", "good", "layer two", nil)
	path := filepath.Join(dir, "manifests", "sha256", bad.Digest.Encoded())
	if err := os.WriteFile(path, []byte(`{"evil":true}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"nonsense": "x",
		// Fits no name: it says another thing than its file name does.
		strings.Repeat("0", 64): `{"kind":"tag","repository":"../../x","tag":"t","digest":"` + good.Digest.String() + `"}`,
		"big":                   strings.Repeat("x", 5000),
	} {
		if err := os.WriteFile(filepath.Join(dir, "links", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	blob := filepath.Join(dir, "blobs", "sha256", digest.FromString("layer two").Encoded())
	if err := os.WriteFile(blob, []byte("layer 2!!"), 0o644); err != nil {
		t.Fatal(err)
	}

	c = newClient(t, newRegistry(t, testregistry.Options{Dir: dir}))
	c.do("GET", "/v2/a/manifests/bad", "").want(t, http.StatusNotFound)
	c.do("GET", "/v2/a/manifests/good", "").want(t, http.StatusOK)
	c.do("GET", "/v2/a/blobs/"+digest.FromString("layer two").String(), "").want(t, http.StatusNotFound)
	if a := c.do("GET", "/v2/_catalog", ""); !strings.Contains(a.body, `["a"]`) {
		t.Errorf("catalog: %s", a.body)
	}
}

// Names from the network must not become paths: every file is named by a digest.
func TestFileNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClient(t, newRegistry(t, testregistry.Options{Dir: dir, AcceptIncomplete: true}))
	for _, path := range []string{
		"/v2/..%2f..%2fetc/manifests/v1", "/v2/a/../../etc/manifests/v1", "/v2/a/manifests/..", "/v2/a/manifests/%2e%2e",
		"/v2/a%00b/manifests/v1", "/v2/CON/manifests/nul", "/v2/a/manifests/..%5c..%5cx", "/v2/a/manifests/sha256:../../x",
	} {
		if a := c.do("PUT", path, "{}", "Content-Type", ocispec.MediaTypeImageManifest); a.status == http.StatusCreated {
			t.Errorf("%s was accepted", path)
		}
	}
	c.putImage("deep/er/name", "v1.2-x_y", "layer", nil)
	digestName := regexp.MustCompile(`^(blobs|manifests|links)(/sha256|/sha512)?(/[0-9a-f]{64})?$|^\.$`)
	err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		rel, relErr := filepath.Rel(dir, path)
		if err != nil || relErr != nil {
			return err
		}
		if !digestName.MatchString(filepath.ToSlash(rel)) {
			t.Errorf("unexpected file %q", rel)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("PUT", "a/manifests/v1", "", `{"schemaVersion":2}`)
	f.Add("GET", "a/tags/list", "n=1&last=a", "")
	f.Add("GET", "a/referrers/sha256:"+strings.Repeat("0", 64), "artifactType=x", "")
	f.Add("POST", "a/blobs/uploads/", "mount=sha256:"+strings.Repeat("0", 64)+"&from=..", "")
	f.Add("PUT", "a/manifests/sha512:"+strings.Repeat("0", 128), "tag=v1&tag=v2", `{"schemaVersion":2}`)
	f.Add("GET", "_catalog", "n=x", "")
	r, err := testregistry.New(testregistry.Options{AcceptIncomplete: true})
	if err != nil {
		f.Fatal(err)
	}
	transport := testregistry.InProcess(r)
	f.Fuzz(func(t *testing.T, method, path, query, body string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://registry.test/", strings.NewReader(body))
		if err != nil {
			t.Skip("net/http refuses it before a server sees it")
		}
		req.URL.Path, req.URL.RawQuery = "/v2/"+path, query
		req.Header.Set("Content-Type", ocispec.MediaTypeImageManifest)
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode >= http.StatusInternalServerError {
			t.Errorf("%s %q?%q: %s", method, path, query, resp.Status)
		}
	})
}
