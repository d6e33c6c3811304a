// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// TestSHA512 goes through everything by the other registered algorithm, before and
// after a restart.
func TestSHA512(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newClient(t, newRegistry(t, testregistry.Options{Dir: dir}))
	const content = "layer by sha512"
	d := digest.SHA512.FromString(content).String()
	wrong := digest.SHA512.FromString("another").String()
	c.do("POST", "/v2/a/blobs/uploads/?digest="+wrong, content).want(t, http.StatusBadRequest)
	c.do("POST", "/v2/a/blobs/uploads/?digest="+d, content).want(t, http.StatusCreated)
	at := c.do("POST", "/v2/b/blobs/uploads/?digest-algorithm=sha512", "").want(t, http.StatusAccepted).header.Get("Location")
	c.do("PUT", at+"?digest="+d, content).want(t, http.StatusCreated)
	c.do("POST", "/v2/c/blobs/uploads/?from=a&mount="+d, "").want(t, http.StatusCreated)
	// By its other digest it was not pushed.
	c.do("GET", "/v2/a/blobs/"+digest.FromString(content).String(), "").want(t, http.StatusNotFound)

	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"x/y","digest":%q,"size":%d},"layers":[]}`,
		ocispec.MediaTypeImageManifest, d, len(content))
	m := digest.SHA512.FromString(manifest).String()
	image := []string{"Content-Type", ocispec.MediaTypeImageManifest}
	c.do("PUT", "/v2/a/manifests/"+wrong, manifest, image...).want(t, http.StatusBadRequest)
	put := c.do("PUT", "/v2/a/manifests/"+m+"?tag=v1&tag=v2", manifest, image...).want(t, http.StatusCreated)
	if got := put.header.Values("OCI-Tag"); !slices.Equal(got, []string{"v1", "v2"}) {
		t.Errorf("tags %q", got)
	}
	referrer := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[],"subject":{"mediaType":%q,"digest":%q,"size":%d}}`,
		indexType, ocispec.MediaTypeImageManifest, m, len(manifest))
	if got := c.do("PUT", "/v2/a/manifests/attached", referrer, "Content-Type", indexType).want(t, http.StatusCreated).header.Get("OCI-Subject"); got != m {
		t.Errorf("OCI-Subject %q", got)
	}

	for _, c := range []client{c, newClient(t, newRegistry(t, testregistry.Options{Dir: dir}))} {
		for _, name := range []string{"a", "b", "c"} {
			a := c.do("GET", "/v2/"+name+"/blobs/"+d, "").want(t, http.StatusOK)
			if a.body != content || a.header.Get("Docker-Content-Digest") != d {
				t.Errorf("%s: %q as %s", name, a.body, a.header.Get("Docker-Content-Digest"))
			}
		}
		if a := c.do("GET", "/v2/a/blobs/"+d, "", "Range", "bytes=6-").want(t, http.StatusPartialContent); a.body != content[6:] {
			t.Errorf("a part: %q", a.body)
		}
		for _, target := range []string{m, "v1", "v2"} {
			if a := c.do("GET", "/v2/a/manifests/"+target, "").want(t, http.StatusOK); a.body != manifest || a.header.Get("Docker-Content-Digest") != m {
				t.Errorf("%s: %s is %s", target, a.header.Get("Docker-Content-Digest"), a.body)
			}
		}
		if list, _ := c.referrers("/v2/a/referrers/" + m); len(list) != 1 {
			t.Errorf("%d referrers", len(list))
		}
	}
	c.do("DELETE", "/v2/a/blobs/"+d, "").want(t, http.StatusAccepted)
	c.do("GET", "/v2/a/blobs/"+d, "").want(t, http.StatusNotFound)
	c.do("GET", "/v2/b/blobs/"+d, "").want(t, http.StatusOK)
}

// TestMalformedPaths: what is wrong is named, and told from what is not there.
func TestMalformedPaths(t *testing.T) {
	t.Parallel()
	c := newClient(t, newRegistry(t, testregistry.Options{AcceptIncomplete: true}))
	hex := strings.Repeat("0", 64)
	for _, row := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "a/manifests/sha256:zz", 400, "DIGEST_INVALID"},
		{"PUT", "a/manifests/sha256:zz", 400, "DIGEST_INVALID"},
		{"DELETE", "a/manifests/sha256:" + hex + "0", 400, "DIGEST_INVALID"},
		{"PUT", "a/manifests/sha256:" + strings.Repeat("A", 64), 400, "DIGEST_INVALID"},
		{"PUT", "a/manifests/sha512:" + hex, 400, "DIGEST_INVALID"},
		{"PUT", "a/manifests/sha384:" + strings.Repeat("0", 96), 400, "DIGEST_INVALID"},
		{"PUT", "a/manifests/md5:" + hex, 400, "DIGEST_INVALID"},
		{"GET", "a/blobs/" + hex, 400, "DIGEST_INVALID"},
		{"GET", "a/blobs/sha512:" + hex, 400, "DIGEST_INVALID"},
		{"GET", "a/referrers/sha256:x", 400, "DIGEST_INVALID"},
		{"GET", "a/referrers/v1", 400, "DIGEST_INVALID"},
		{"PUT", "a/manifests/-x", 400, "TAG_INVALID"},
		{"GET", "a/manifests/-x", 404, "TAG_INVALID"},
		{"PUT", "a/manifests/" + strings.Repeat("t", 129), 400, "TAG_INVALID"},
		{"PUT", "A/manifests/v1", 400, "NAME_INVALID"},
		{"GET", "A/manifests/v1", 404, "NAME_INVALID"},
		{"PUT", "a//b/manifests/v1", 400, "NAME_INVALID"},
		{"PUT", strings.Repeat("a", 256) + "/manifests/v1", 400, "NAME_INVALID"},
		{"GET", "A/tags/list", 404, "NAME_INVALID"},
		{"GET", "a/tags/other", 404, "NAME_INVALID"},
		{"GET", "nonsense", 404, "NAME_INVALID"},
		{"PUT", "a/manifests/" + digest.FromString("{}").String() + "?tag=-x", 400, "TAG_INVALID"},
		{"PUT", "a/manifests/" + digest.FromString("{}").String() + "?" + url.Values{"tag": make([]string, 65)}.Encode(), 414, "TAG_INVALID"},
	} {
		a := c.do(row.method, "/v2/"+row.path, "{}", "Content-Type", ocispec.MediaTypeImageManifest)
		if a.status != row.status || !strings.Contains(a.body, `"`+row.code+`"`) {
			t.Errorf("%s %s: %d %s, want %d %s", row.method, row.path, a.status, a.body, row.status, row.code)
		}
	}
}
