// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// vendor is a client of a registry with a profile. It logs in where it is asked to.
type vendor struct {
	client
	registry http.Handler
}

func newVendor(t *testing.T, name string) *vendor {
	t.Helper()
	p, ok := testregistry.ProfileNamed(name)
	if !ok {
		t.Fatalf("there is no profile %s", name)
	}
	registry := newRegistry(t, testregistry.Options{Profile: p})
	inner := testregistry.InProcess(registry)
	v := &vendor{client{t, &http.Client{Transport: loginTransport{inner}}}, registry}
	v.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return v
}

// anonymous makes requests as they are.
func (v *vendor) anonymous() client {
	c := newClient(v.t, v.registry)
	c.http.CheckRedirect = v.http.CheckRedirect
	return c
}

// loginTransport does what a challenge asks for.
type loginTransport struct{ inner http.RoundTripper }

func (l loginTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	var body string
	if req.Body != nil {
		data, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(data)
	}
	try := func(authorization string) (*http.Response, error) {
		again := req.Clone(req.Context())
		again.Body, again.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		if authorization != "" {
			again.Header.Set("Authorization", authorization)
		}
		return l.inner.RoundTrip(again)
	}
	resp, err := try(req.Header.Get("Authorization"))
	if err != nil || resp.StatusCode != http.StatusUnauthorized {
		return resp, err
	}
	login := http.Request{Header: http.Header{}}
	login.SetBasicAuth("anyone", "anything")
	basic := login.Header.Get("Authorization")
	challenge := resp.Header.Get("WWW-Authenticate")
	realm := regexp.MustCompile(`^Bearer realm="([^"]*)"`).FindStringSubmatch(challenge)
	if realm == nil {
		return try(basic)
	}
	query := url.Values{}
	if scope := regexp.MustCompile(`scope="([^"]*)"`).FindStringSubmatch(challenge); scope != nil {
		query.Set("scope", scope[1])
	}
	ask, err := http.NewRequestWithContext(req.Context(), http.MethodGet, realm[1]+"?"+query.Encode(), http.NoBody)
	if err != nil {
		return nil, err
	}
	ask.Header.Set("Authorization", basic)
	if resp, err = l.inner.RoundTrip(ask); err != nil {
		return nil, err
	}
	var got struct{ Token string }
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		return nil, err
	}
	return try("Bearer " + got.Token)
}

// manifest is a document as JSON, in the order Go sorts keys.
type manifest map[string]any

// image is the manifest of an image whose parts are pushed.
func (v *vendor) image(content string) manifest {
	v.t.Helper()
	config := v.putBlob("net/a", `{"architecture":"amd64"}`)
	config.MediaType = ocispec.MediaTypeImageConfig
	return manifest{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest,
		"config": config, "layers": []any{v.putBlob("net/a", content)},
	}
}

// with is m with another field.
func (m manifest) with(key string, value any) manifest {
	changed := manifest{key: value}
	for k, v := range m {
		if k != key {
			changed[k] = v
		}
	}
	return changed
}

// artifact is m with another type of its config.
func (m manifest) artifact(configType string) manifest {
	config, _ := m["config"].(ocispec.Descriptor)
	config.MediaType = configType
	return m.with("config", config)
}

// bytes of the document.
func (m manifest) bytes() string {
	data, _ := json.Marshal(m) // nothing in it can fail
	return string(data)
}

func (m manifest) digest() string { return digest.FromString(m.bytes()).String() }

// descriptor of the document.
func (m manifest) descriptor() ocispec.Descriptor {
	mediaType, _ := m["mediaType"].(string)
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.Digest(m.digest()), Size: int64(len(m.bytes()))}
}

func indexOf(children ...ocispec.Descriptor) manifest {
	return manifest{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": children}
}

// put pushes m to net/a, at its digest if target is "".
func (v *vendor) put(target string, m manifest) answer {
	v.t.Helper()
	if target == "" {
		target = m.digest()
	}
	mediaType, _ := m["mediaType"].(string)
	return v.do("PUT", "/v2/net/a/manifests/"+target, m.bytes(), "Content-Type", mediaType)
}

func (v *vendor) get(path string) answer {
	v.t.Helper()
	return v.do("GET", "/v2/net/a/"+path, "")
}

func (v *vendor) list(m manifest) []ocispec.Descriptor {
	v.t.Helper()
	list, _ := v.client.referrers("/v2/net/a/referrers/" + m.digest())
	return list
}

// says fails the test unless the answer has the status and all the texts.
func (a answer) says(t *testing.T, status int, texts ...string) answer {
	t.Helper()
	a.want(t, status)
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			t.Errorf("%d %s lacks %q", a.status, a.body, text)
		}
	}
	return a
}

// has fails the test unless the answer has the header; want "" is none.
func (a answer) has(t *testing.T, key, want string) answer {
	t.Helper()
	if got := a.header.Get(key); got != want {
		t.Errorf("%s is %q, want %q", key, got, want)
	}
	return a
}

// upload begins one and returns where it goes on.
func (v *vendor) upload() (string, answer) {
	v.t.Helper()
	a := v.do("POST", "/v2/net/a/blobs/uploads/", "").want(v.t, http.StatusAccepted)
	return a.header.Get("Location"), a
}

// profileRows say what each profile does against the specification, and what it does not
// do although one might think so.
var profileRows = []struct {
	profiles, name string
	run            func(t *testing.T, v *vendor)
}{
	{"gitlab gitlab-old", "list of types", func(t *testing.T, v *vendor) {
		im := v.image("x")
		v.put("v1", im).want(t, 201)
		v.put("v2", im.with("artifactType", "application/vnd.test")).says(t, 400, `"MANIFEST_INVALID"`, `"detail":"unknown media type: application/vnd.test"`)
		v.put("v3", im.artifact("application/vnd.test")).says(t, 400, `"detail":"unknown media type: application/vnd.test"`)
		v.put("v4", im.artifact("application/vnd.cncf.helm.config.v1+json")).want(t, 201)
	}},
	{"gitlab", "bundles are listed", func(t *testing.T, v *vendor) {
		v.put("", v.image("x").with("artifactType", bundleType)).want(t, 201)
	}},
	{"gitlab-old", "bundles are not listed", func(t *testing.T, v *vendor) {
		v.put("", v.image("x").with("artifactType", bundleType)).says(t, 400, bundleType)
	}},
	{"gitlab gitlab-old", "fallback tag", func(t *testing.T, v *vendor) {
		im := v.image("x")
		v.put("v1", im).want(t, 201)
		tag := strings.Replace(im.digest(), ":", "-", 1)
		v.put(tag, indexOf(im.descriptor()))
		v.get("manifests/"+tag).want(t, 200).has(t, "Docker-Content-Digest", im.digest())
		v.get("manifests/"+tag+".sig").want(t, 404)
		v.do("DELETE", "/v2/net/a/manifests/"+tag, "").want(t, 202)
		v.get("manifests/v1").want(t, 404)
	}},
	{"gitlab gitlab-old acr-cmk nexus-noredeploy do-gc gitea distribution-classes cloudflare", "no referrers API", func(t *testing.T, v *vendor) {
		im := v.image("x")
		v.get("referrers/"+im.digest()).want(t, 404)
		v.put("", im.with("subject", indexOf().descriptor())).want(t, 201).has(t, "OCI-Subject", "")
	}},
	{"ghcr", "the list is on the web site", func(t *testing.T, v *vendor) {
		a := v.anonymous().do("GET", "/v2/net/a/referrers/"+indexOf().digest(), "").want(t, 303)
		a.has(t, "Location", "http://storage.registry.test/-/v2/packages/container/package/net%2Fa%2Freferrers%2Fsha256")
		var got struct{ Token string }
		if err := json.Unmarshal([]byte(v.anonymous().do("GET", "/token", "").want(t, 200).body), &got); err != nil {
			t.Fatal(err)
		}
		v.do("GET", "/v2/net/a/referrers/"+indexOf().digest(), "", "Authorization", "Bearer "+got.Token).want(t, 404)
		v.anonymous().do("GET", "/-/v2/packages/container/package/x", "").says(t, 404, "Not Found").has(t, "Content-Type", "text/plain")
	}},
	{"ghcr", "placeholder in the challenge", func(t *testing.T, v *vendor) {
		v.anonymous().do("GET", "/v2/", "").want(t, 401).has(t, "WWW-Authenticate", `Bearer realm="http://registry.test/token",service="ghcr.io",scope="repository:user/image:pull"`)
	}},
	{"ghcr", "chunks", func(t *testing.T, v *vendor) {
		big := strings.Repeat("x", 4<<20+1)
		at, _ := v.upload()
		v.do("PATCH", at, big, "Content-Range", "0-4194304").says(t, 416, "exceeds the maximum permissible limit of 4.00MiB")
		v.do("PATCH", at, big[1:], "Content-Range", "0-4194303").want(t, 202)
		at, _ = v.upload()
		v.do("PATCH", at, big).want(t, 202)
		at, _ = v.upload()
		v.do("PUT", at+"?digest="+digest.FromString(big).String(), big).want(t, 201)
	}},
	{"ghcr", "rate limit", func(t *testing.T, v *vendor) {
		for range 49 {
			v.get("manifests/v1").want(t, 404)
		}
		v.get("manifests/v1").says(t, 429, `"TOOMANYREQUESTS"`, "retry-after: 880.092µs").has(t, "Retry-After", "")
		v.get("manifests/v1").want(t, 404)
	}},
	{"ghcr hub-2024 hub-immutable distribution-classes", "no deletions", func(t *testing.T, v *vendor) {
		im := v.image("x")
		v.put("v1", im).want(t, 201)
		v.do("DELETE", "/v2/net/a/manifests/"+im.digest(), "").says(t, 405, `"UNSUPPORTED"`)
	}},
	{"hub-2024", "subject", func(t *testing.T, v *vendor) {
		im := v.image("x")
		sig := im.with("subject", im.descriptor())
		v.put("", sig).says(t, 404, `"MANIFEST_UNKNOWN"`)
		v.put("v1", im).want(t, 201).has(t, "OCI-Subject", "")
		v.put("", sig).want(t, 201).has(t, "OCI-Subject", im.digest())
		v.get("referrers/"+im.digest()).want(t, 404)
	}},
	{"hub-immutable", "tags", func(t *testing.T, v *vendor) {
		moved(t, v, "v1", http.StatusForbidden, `"DENIED"`)
		v.put("v1", v.image("x")).want(t, 403) // the same again
		v.get("manifests/v1").has(t, "RateLimit-Limit", "100;w=21600")
	}},
	{"ecr ecr-immutable ecr-exclusion", "login", func(t *testing.T, v *vendor) {
		v.anonymous().do("GET", "/v2/", "").want(t, 401).has(t, "WWW-Authenticate", `Basic realm="http://registry.test/",service="ecr.amazonaws.com"`)
	}},
	{"ecr", "uploads", func(t *testing.T, v *vendor) {
		at, _ := v.upload()
		v.do("PATCH", at, "abc", "Content-Range", "0-2").want(t, 201).has(t, "Range", "0-2")
		v.do("PATCH", at, "de", "Content-Range", "3-4").want(t, 201).has(t, "Range", "0-2")
		v.do("GET", at, "").want(t, 204).has(t, "Range", "0-2")
		v.do("PUT", at+"?digest="+digest.FromString("abcde").String(), "").want(t, 201)
	}},
	{"ecr", "strict JSON", func(t *testing.T, v *vendor) {
		im := v.image("x")
		for _, bad := range []manifest{im.with("more", 1), im.with("mediaType", ""), im.with("config", ocispec.Descriptor{Annotations: map[string]string{"a": "b"}}), im.with("artifactType", "a/b;c=d")} {
			v.do("PUT", "/v2/net/a/manifests/v1", bad.bytes(), "Content-Type", ocispec.MediaTypeImageManifest).says(t, 405, `"UNSUPPORTED"`, "Invalid JSON syntax")
		}
		v.put("v1", im.with("artifactType", "application/vnd.test").with("subject", im.descriptor())).want(t, 201)
	}},
	{"ecr", "repositories are made first", func(t *testing.T, v *vendor) {
		v.do("POST", "/v2/missing/a/blobs/uploads/", "").says(t, 404, `"NAME_UNKNOWN"`, "The repository with name 'missing/a' does not exist")
		v.do("GET", "/v2/missing/a/manifests/v1", "").says(t, 404, `"NAME_UNKNOWN"`)
	}},
	{"ecr acr-cmk", "object store", func(t *testing.T, v *vendor) {
		blob := v.putBlob("net/a", "x")
		to := v.get("blobs/"+blob.Digest.String()).want(t, 307).header.Get("Location")
		if !strings.HasPrefix(to, "http://storage.registry.test/storage/") {
			t.Fatal(to)
		}
		path := strings.TrimPrefix(to, "http://storage.registry.test")
		v.anonymous().do("GET", path, "").says(t, 200, "x")
		v.anonymous().do("GET", path, "", "Authorization", "Basic x").says(t, 400, "<?xml")
		v.anonymous().do("GET", "/storage/v2/net/a/manifests/v1?signature=x", "").want(t, 404)
		v.get("blobs/"+digest.FromString("other").String()).want(t, 404)
	}},
	{"ecr-immutable", "tags", func(t *testing.T, v *vendor) {
		moved(t, v, "v1", http.StatusBadRequest, `"TAG_INVALID"`, "cannot be overwritten because the repository is immutable")
		moved(t, v, "sha256-x.sig", http.StatusBadRequest, `"TAG_INVALID"`)
		v.put("v1", v.image("x")).want(t, 201) // the same again
	}},
	{"ecr-exclusion", "tags", func(t *testing.T, v *vendor) {
		moved(t, v, "v1", http.StatusBadRequest, `"TAG_INVALID"`)
		moved(t, v, "sha256-x.sig", http.StatusCreated)
	}},
	{"gar", "no chunks", func(t *testing.T, v *vendor) {
		at, _ := v.upload()
		v.do("PATCH", at, "abc").want(t, 405)
		v.do("PUT", at+"?digest="+digest.FromString("abc").String(), "abc").want(t, 201)
	}},
	{"gar", "list", func(t *testing.T, v *vendor) {
		im := v.image("x")
		sig := im.with("subject", im.descriptor()).with("artifactType", "application/vnd.test")
		v.put("", sig).want(t, 201).has(t, "OCI-Subject", im.digest())
		if list := v.list(im); len(list) != 0 {
			t.Errorf("it is not late: %v", list)
		}
		if list := v.list(im); len(list) != 1 || list[0].Size != sig.descriptor().Size-218 || list[0].ArtifactType != "" {
			t.Errorf("got %+v", list)
		}
		moved(t, v, "v1", http.StatusBadRequest, "immutable")
	}},
	{"quay", "list", func(t *testing.T, v *vendor) {
		im := v.image("x")
		v.do("GET", "/v2/net/none/referrers/"+im.digest(), "").says(t, 404, `"NAME_UNKNOWN"`)
		v.get("referrers/"+im.digest()).says(t, 404, `"MANIFEST_UNKNOWN"`, `"detail":{}`)
		v.put("v1", im).want(t, 201)
		sig := im.with("subject", im.descriptor())
		v.put("", sig).want(t, 201).has(t, "OCI-Subject", "")
		other := indexOf().descriptor()
		other.Annotations = map[string]string{"from": "the tag"}
		v.put("", indexOf()).want(t, 201)
		v.put(strings.Replace(im.digest(), ":", "-", 1), indexOf(other)).want(t, 201)
		if list := v.list(im); len(list) != 2 || list[1].Annotations["from"] == "" {
			t.Errorf("got %+v", list)
		}
	}},
	{"quay", "manifests", func(t *testing.T, v *vendor) {
		v.do("PUT", "/v2/net/a/manifests/v1", v.image("x").bytes(), "Content-Type", "application/json").says(t, 415, "manifest schema version not supported")
		v.put("v1", indexOf(indexOf().descriptor())).says(t, 400, `"MANIFEST_INVALID"`)
		v.do("POST", "/v2/readonly/a/blobs/uploads/", "").says(t, 405, `"DENIED"`, "read-only")
		at, _ := v.upload()
		v.do("PATCH", at, "abc").want(t, 202)
		v.do("GET", at, "").want(t, 204).has(t, "Range", "0-3")
	}},
	{"harbor-2.8 harbor-2.10", "list", func(t *testing.T, v *vendor) {
		im := v.image("x")
		sig := im.with("subject", im.descriptor()).with("artifactType", "application/vnd.test")
		v.put("", sig).want(t, 201)
		v.get("referrers/"+im.digest()).want(t, 200).has(t, "Content-Type", "application/json")
		if list := v.list(im); len(list) != 1 || list[0].Size <= sig.descriptor().Size || list[0].ArtifactType != ocispec.MediaTypeImageConfig {
			t.Errorf("got %+v", list)
		}
	}},
	{"harbor-2.8", "no OCI-Subject", func(t *testing.T, v *vendor) {
		im := v.image("x")
		v.put("", im.with("subject", im.descriptor())).want(t, 201).has(t, "OCI-Subject", "")
	}},
	{"harbor-2.10 harbor-2.13", "OCI-Subject", func(t *testing.T, v *vendor) {
		im := v.image("x")
		v.put("", im.with("subject", im.descriptor())).want(t, 201).has(t, "OCI-Subject", im.digest())
	}},
	{"harbor-2.13", "list", func(t *testing.T, v *vendor) {
		im := v.image("x")
		a := v.get("referrers/"+im.digest()).want(t, 200).has(t, "Content-Type", ocispec.MediaTypeImageIndex)
		if a.body != "{}" {
			t.Error(a.body)
		}
		v.put("v1", im).want(t, 201)
		v.get("referrers/"+im.digest()+"?artifactType=a/b").says(t, 200, "manifests").has(t, "OCI-Filters-Applied", "a/b")
	}},
	{"harbor-2.8 harbor-2.10 harbor-2.13", "tags", func(t *testing.T, v *vendor) {
		moved(t, v, "v1", http.StatusCreated)
		moved(t, v, "sha256-x.sig", http.StatusPreconditionFailed, `"PRECONDITION"`, "'net/a:sha256-x.sig' configured as immutable")
		v.do("DELETE", "/v2/net/a/manifests/v1", "").says(t, 405, `"UNSUPPORTED"`)
		head, get := v.do("HEAD", "/v2/net/a/manifests/v1", ""), v.get("manifests/v1")
		if head.header.Get("Content-Length") == get.header.Get("Content-Length") {
			t.Error("HEAD and GET have the same length")
		}
	}},
	{"artifactory", "tags", func(t *testing.T, v *vendor) {
		v.get("manifests/none").says(t, 403, `"UNAUTHORIZED"`, "is forbidden for user", `"detail":{`)
		v.get("manifests/"+indexOf().digest()).want(t, 404)
		moved(t, v, "v1", http.StatusBadRequest, `"MANIFEST_INVALID"`, "HTTP 403 Forbidden")
	}},
	{"artifactory", "blobs of others", func(t *testing.T, v *vendor) {
		blob := v.putBlob("net/b", "x").Digest.String()
		v.do("HEAD", "/v2/net/a/blobs/"+blob, "").want(t, 200)
		v.get("blobs/"+blob).want(t, 404)
	}},
	{"nexus-noredeploy", "tags", func(t *testing.T, v *vendor) {
		moved(t, v, "v1", http.StatusBadRequest, `"BLOB_UPLOAD_INVALID"`, "Repository does not allow updating assets")
		v.put("v2", v.image("x")).says(t, 400, `"BLOB_UPLOAD_INVALID"`)
	}},
	{"do-gc", "garbage collection", func(t *testing.T, v *vendor) {
		im := v.image("x")
		v.put("", im).want(t, 201)
		v.put("v1", im).want(t, 201)
		v.put("v1", im).says(t, 401, `"UNAUTHORIZED"`)
		v.get("manifests/v1").want(t, 200)
	}},
	{"gitea", "logins", func(t *testing.T, v *vendor) {
		c := v.anonymous()
		got := c.do("GET", "/v2/", "").want(t, 401).header.Values("WWW-Authenticate")
		if !slices.Equal(got, []string{`Bearer realm="http://registry.test/v2/token"`, "Basic"}) {
			t.Error(got)
		}
		c.do("GET", "/v2/", "", "Authorization", "Basic YTpi").want(t, 200)
	}},
	{"gitea", "manifests", func(t *testing.T, v *vendor) {
		im := v.image("x")
		v.put("Latest", im).want(t, 201)
		v.get("manifests/latest").want(t, 200).has(t, "ETag", `"`+im.digest()+`"`)
		v.do("GET", "/v2/net/a/manifests/LATEST", "", "If-None-Match", `"`+im.digest()+`"`).want(t, 304)
		index := indexOf(im.descriptor())
		v.put("index", index).want(t, 201)
		v.put("nested", indexOf(index.descriptor())).says(t, 400, `"MANIFEST_INVALID"`)
		v.put("lacks", indexOf(v.image("y").descriptor())).says(t, 404, `"MANIFEST_BLOB_UNKNOWN"`)
		v.put("large", im.with("annotations", map[string]string{"a": strings.Repeat("x", 10<<20)})).says(t, 413, `"MANIFEST_INVALID"`)
		v.put("old", im.with("schemaVersion", 1)).says(t, 405, `"UNSUPPORTED"`)
		v.do("PUT", "/v2/net/a/manifests/v1", im.bytes(), "Content-Type", "application/json").says(t, 400, "MediaType not recognized")
	}},
	{"gitea", "uploads", func(t *testing.T, v *vendor) {
		at, _ := v.upload()
		v.do("PATCH", at, "abc").want(t, 202)
		v.do("PATCH", at, "de").says(t, 400, "Stream uploads after first write are not allowed")
		v.do("PATCH", at, "de", "Content-Range", "3-4").want(t, 202)
	}},
	{"distribution-classes", "images only", func(t *testing.T, v *vendor) {
		im := v.image("x")
		v.put("v1", im.with("artifactType", "application/vnd.test")).want(t, 201)
		v.put("v2", im.artifact(ocispec.MediaTypeEmptyJSON)).says(t, 403, `"DENIED"`, "unknown manifest class for application/vnd.oci.empty.v1+json")
	}},
	{"cloudflare", "uploads", func(t *testing.T, v *vendor) {
		_, a := v.upload()
		a.has(t, "OCI-Chunk-Min-Length", "5242880").has(t, "OCI-Chunk-Max-Length", "100000000")
		v.get("blobs/"+v.putBlob("net/a", "x").Digest.String()).want(t, 200).has(t, "Content-Type", "")
	}},
	{"cloudflare", "tags", func(t *testing.T, v *vendor) {
		v.put("v1", v.image("x")).want(t, 201)
		v.put("v2", v.image("x")).want(t, 201)
		v.get("tags/list?n=1").want(t, 200).has(t, "Link", "http://registry.test/v2/net/a/tags/list?last=v1&n=1; rel=next")
		v.do("PUT", "/v2/net/a/manifests/v1", v.image("x").bytes()).says(t, 400, `{"error":`)
	}},
}

const bundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"

// moved pushes two images under one tag, and wants this answer to the second.
func moved(t *testing.T, v *vendor, tag string, status int, texts ...string) {
	t.Helper()
	v.put(tag, v.image("x")).want(t, http.StatusCreated)
	v.put(tag, v.image("y")).says(t, status, texts...)
}

func TestProfiles(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{}
	for _, row := range profileRows {
		for _, name := range strings.Fields(row.profiles) {
			tested[name] = true
			t.Run(name+" "+row.name, func(t *testing.T) {
				t.Parallel()
				row.run(t, newVendor(t, name))
			})
		}
	}
	for _, p := range testregistry.Profiles() {
		if !tested[p.Name] || p.About == "" {
			t.Errorf("profile %s is not tested or says nothing of itself", p.Name)
		}
	}
	if _, ok := testregistry.ProfileNamed("none"); ok {
		t.Error("there is a profile called none")
	}
}

// TestProfileTime: tokens end, and what has no tag is forgotten.
func TestProfileTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := newVendor(t, "gitlab")
		c := v.anonymous()
		var got struct{ Token string }
		a := c.do("GET", "/jwt/auth?scope=repository:net/a:pull", "").want(t, 200)
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			t.Fatal(err)
		}
		bearer := []string{"Authorization", "Bearer " + got.Token}
		c.do("GET", "/v2/net/a/manifests/v1", "", bearer...).want(t, 404)
		c.do("GET", "/v2/net/b/manifests/v1", "", bearer...).want(t, 401).has(t, "WWW-Authenticate",
			`Bearer realm="http://registry.test/jwt/auth",service="container_registry",scope="repository:net/b:pull",error="invalid_token",error="insufficient_scope"`)
		c.do("POST", "/v2/net/a/blobs/uploads/", "", bearer...).want(t, 401)
		time.Sleep(5 * time.Minute)
		c.do("GET", "/v2/net/a/manifests/v1", "", bearer...).want(t, 401)

		v = newVendor(t, "quay")
		untagged, child, tagged := v.image("x"), v.image("y"), v.image("z")
		v.put("", untagged).want(t, 201)
		v.put("", child).want(t, 201)
		v.put("index", indexOf(child.descriptor())).want(t, 201)
		v.put("", tagged).want(t, 201)
		v.put("v1", tagged).want(t, 201)
		sig := untagged.with("subject", tagged.descriptor())
		v.put("", sig).want(t, 201)
		v.get("manifests/"+untagged.digest()).want(t, 200)
		time.Sleep(time.Hour)
		v.get("manifests/"+untagged.digest()).want(t, 404)
		for _, kept := range []manifest{child, tagged, sig} {
			v.get("manifests/"+kept.digest()).want(t, 200)
		}
	})
}
