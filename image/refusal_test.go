// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// says is the body of an error in the form of the specification. detail is JSON, or
// "" for none.
func says(code, message, detail string) string {
	if detail != "" {
		detail = `,"detail":` + detail
	}
	return fmt.Sprintf(`{"errors":[{"code":%q,"message":%q%s}]}`, code, message, detail)
}

// Manifests that a registry may refuse.
const (
	plainManifest  = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`
	subjectOfThese = `"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":9}`
	bundleOfThese  = `"artifactType":"application/vnd.dev.sigstore.bundle.v0.3+json","annotations":{"dev.sigstore.bundle.content":"dsse-envelope","dev.sigstore.bundle.predicateType":%q}`
)

// with adds keys to the plain manifest.
func with(keys ...string) string {
	return strings.TrimSuffix(plainManifest, "}") + "," + strings.Join(keys, ",") + "}"
}

// foreign gives a manifest the config of an artifact.
func foreign(manifest string) string {
	return strings.Replace(manifest, "vnd.oci.image.config.v1", "vnd.oci.empty.v1", 1)
}

var (
	artifactManifest    = foreign(plainManifest)
	signatureManifest   = foreign(with(subjectOfThese, fmt.Sprintf(bundleOfThese, predicateSignature)))
	attestationManifest = foreign(with(subjectOfThese, fmt.Sprintf(bundleOfThese, "https://slsa.dev/provenance/v1")))
)

// TestRefusals: what registries are known to answer to a manifest, and what is made of
// it. All other causes must not be seen in it.
func TestRefusals(t *testing.T) {
	t.Parallel()
	causes := []error{
		ErrImmutable, ErrQuota, ErrNoRepository, ErrBodyTooLarge, ErrArtifactRefused, ErrSignatureRefused, ErrReferrerRefused, ErrUnauthorized,
	}
	unknownType := says("MANIFEST_INVALID", "manifest invalid", `"unknown media type: application/vnd.acme"`)
	unknownClass := says("DENIED", "unknown manifest class for application/vnd.acme", "")
	for _, tt := range []struct {
		name     string
		manifest string
		status   int
		body     string
		want     error
		text     string
		also     error // what else is seen in it
	}{
		// Tags that cannot be moved.
		{"ECR", plainManifest, 400, says("TAG_INVALID", "The image tag 'v1' already exists in the 'a' repository and cannot be overwritten because the repository is immutable.", ""), ErrImmutable, "cannot be overwritten", nil},
		{"ECR, artifact", artifactManifest, 400, says("TAG_INVALID", "The image tag 'v1' already exists in the 'a' repository and cannot be overwritten because the repository is immutable.", ""), ErrImmutable, "TAG_INVALID", nil},
		{"Nexus", artifactManifest, 400, says("BLOB_UPLOAD_INVALID", "blob upload invalid", `"Repository does not allow updating assets: docker"`), ErrImmutable, "updating assets", nil},
		{"Artifactory", artifactManifest, 400, says("MANIFEST_INVALID", "manifest invalid", `{"description":"HTTP 403 Forbidden"}`), ErrImmutable, `{\"description\":\"HTTP 403 Forbidden\"}`, nil},
		{"Docker Hub", plainManifest, 403, says("DENIED", "tag v1 is immutable", ""), ErrImmutable, "403", nil},
		{"Quay's code", plainManifest, 409, says("TAG_ALREADY_EXISTS", "", ""), ErrImmutable, "(TAG_ALREADY_EXISTS)", nil},
		{"Harbor", plainManifest, 412, says("PRECONDITION", "Failed to process request due to 'a/b:v1' configured as immutable.", ""), ErrImmutable, "412", nil},
		{"no more room with a word of it", plainManifest, 500, says("UNKNOWN", "immutable", ""), nil, "500", nil},

		// No room.
		{"Quay", artifactManifest, 403, says("DENIED", "Quota has been exceed on namespace", "{}"), ErrQuota, "Quota has been", nil},
		{"Harbor's quota", plainManifest, 403, says("DENIED", "adding 29.0 MiB of storage resource, which when updated to current usage of 152.4 MiB will exceed the configured upper limit of 10.0 MiB.", ""), ErrQuota, "upper limit", nil},
		{"another limit", plainManifest, 403, says("DENIED", "You have exceeded a secondary rate limit of your quota", ""), ErrUnauthorized, "rate limit", nil},

		// Not created; too large.
		{"ECR, not created", plainManifest, 404, says("NAME_UNKNOWN", "The repository with name 'a' does not exist in the registry with id '1'", ""), ErrNoRepository, "the repository is not found", nil},
		{"missing, but not the repository", plainManifest, 404, says("MANIFEST_UNKNOWN", "", ""), nil, "not found", nil},
		{"nginx", artifactManifest, 413, "<html>413 Request Entity Too Large</html>", ErrBodyTooLarge, "413", nil},
		{"Gitea", plainManifest, 413, says("MANIFEST_INVALID", "Manifest exceeds maximum size", ""), ErrBodyTooLarge, "maximum size", nil},

		// Types.
		{"GitLab, artifact", artifactManifest, 400, unknownType, ErrArtifactRefused, `(MANIFEST_INVALID: "manifest invalid": "unknown media type: application/vnd.acme"); its config is a "application/vnd.oci.empty.v1+json"`, nil},
		{"GitLab, artifactType", with(`"artifactType":"application/vnd.acme"`), 400, unknownType, ErrArtifactRefused, `its artifactType is "application/vnd.acme"`, nil},
		{"GitLab, image", plainManifest, 400, unknownType, nil, "unknown media type", nil},
		{"GitLab, signature", signatureManifest, 400, unknownType, ErrSignatureRefused, "unknown media type", nil},
		{"GitLab, attestation", attestationManifest, 400, unknownType, ErrReferrerRefused, "unknown media type", nil},
		{"no words", artifactManifest, 400, "", ErrArtifactRefused, "400", nil},
		{"Quay, artifact", artifactManifest, 415, says("MANIFEST_INVALID", "manifest invalid", `{"message":"manifest schema version not supported"}`), ErrArtifactRefused, "schema version", nil},
		{"distribution, artifact", artifactManifest, 403, unknownClass, ErrArtifactRefused, "manifest class", ErrUnauthorized},
		{"distribution, signature", signatureManifest, 403, unknownClass, ErrSignatureRefused, "manifest class", ErrUnauthorized},
		{"the account", artifactManifest, 403, says("DENIED", "requested access to the resource is denied", ""), ErrUnauthorized, "access denied", nil},
		{"ECR, signature", signatureManifest, 405, says("UNSUPPORTED", "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'", ""), ErrSignatureRefused, "405", nil},
		{"Quay, read-only", signatureManifest, 405, says("DENIED", "System is currently read-only.", `{"is_readonly":true}`), nil, "read-only", nil},
		{"subject is missing", signatureManifest, 400, says("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", `"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"`), nil, "blob unknown", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			host, _ := serve(t, answer(func(w http.ResponseWriter, req *http.Request) {
				if req.Method != http.MethodPut {
					w.WriteHeader(http.StatusNotFound)
					return
				}
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}))
			m, err := newManifest([]byte(tt.manifest), "", "")
			if err != nil {
				t.Fatal(err)
			}
			err = testClient(t, RegistryOptions{}).PutManifest(t.Context(), mustParse(t, host+"/a:v1"), m)
			var answer *RegistryError
			if !errors.As(err, &answer) || answer.Status != tt.status || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want a RegistryError with %q", err, tt.text)
			}
			for i, cause := range causes {
				want := i == slices.Index(causes, tt.want)
				if errors.Is(err, cause) != want && !errors.Is(cause, tt.also) {
					t.Errorf("errors.Is(err, %q) is %v: %v", cause, !want, err)
				}
			}
			if got := errors.Is(err, ErrNotFound); got != (tt.status == http.StatusNotFound) {
				t.Errorf("ErrNotFound is %v: %v", got, err)
			}
			if isImmutable(err) != errors.Is(tt.want, ErrImmutable) {
				t.Errorf("isImmutable: %v", err)
			}
		})
	}
}

// TestRefusedRead: the same words say nothing about a tag when something was read.
func TestRefusedRead(t *testing.T) {
	t.Parallel()
	for _, body := range []string{says("DENIED", "quota, immutable", ""), says("NAME_UNKNOWN", "", "")} {
		for _, status := range []int{403, 404, 413} {
			host, _ := serve(t, answer(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
			}))
			_, err := testClient(t, RegistryOptions{}).Manifest(t.Context(), mustParse(t, host+"/a:v1"))
			if cause := refusedWrite(err); err == nil || cause != nil {
				t.Errorf("%d %s: %v is taken for %v", status, body, err, cause)
			}
		}
	}
}

// TestIsImmutableOfAnAnswer: before the answer has become a RegistryError.
func TestIsImmutableOfAnAnswer(t *testing.T) {
	t.Parallel()
	raw := &transport.Error{
		StatusCode: http.StatusPreconditionFailed, Request: &http.Request{Method: http.MethodPut},
		Errors: []transport.Diagnostic{{Code: "PRECONDITION", Message: "configured as immutable"}},
	}
	if !isImmutable(fmt.Errorf("x: %w", raw)) {
		t.Error("it is not seen")
	}
	if raw.Request.Method = http.MethodGet; isImmutable(raw) || isImmutable(nil) || isImmutable(errors.New("immutable")) {
		t.Error("it is seen in something else")
	}
}

// TestQuotaOfTheTokenServer: DigitalOcean gives out no token for a repository too many.
func TestQuotaOfTheTokenServer(t *testing.T) {
	t.Parallel()
	host, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/token" {
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write([]byte(says("DENIED", "registry contains 1 repositories, limit is 1", "")))
			return
		}
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+req.Host+`/token",service="x"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	m, err := newManifest([]byte(plainManifest), "", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := testClient(t, RegistryOptions{}).PutManifest(t.Context(), mustParse(t, host+"/a:v1"), m); !errors.Is(err, ErrQuota) {
		t.Errorf("got %v, want ErrQuota", err)
	}
}

// TestDetail: what a registry adds is shown, in bounds and without secrets.
func TestDetail(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5000)
	for _, tt := range []struct{ detail, want string }{
		{`null`, ``},
		{`{}`, ``},
		{`[]`, ``},
		{`""`, ``},
		{`"unknown media type: a/b"`, `unknown media type: a/b`},
		{`{"b":1,"a":[true,null,"x"]}`, `{"a":[true,null,"x"],"b":1}`},
		{`[{"Type":"repository","Name":"a"}]`, `[{"Name":"a","Type":"repository"}]`},
		{`{"a":{"b":{"c":{"d":1}}}}`, `{"a":{"b":{"c":{"d":1}}}}`},
		{`{"a":{"b":{"c":{"d":[1]}}}}`, `{"a":{"b":{"c":{"d":…}}}}`},
		{`"` + long + `"`, long[:maxMessage] + "…"},
		{`["` + strings.Repeat(`x","`, 5000) + `"]`, `["x",` + strings.Repeat(`"x",`, 73) + `"x"…`},
		{`{"access_token":"abc","Authorization":"abc","X-Amz-Signature":[1],"a":1}`, `{"Authorization":…,"X-Amz-Signature":…,"a":1,"access_token":…}`},
		{`"sent Authorization: Bearer abcdefgh.ijkl"`, `sent Authorization: Bearer …`},
		{`"Basic dXNlcjpwYXNzd29yZA== is wrong"`, `Basic … is wrong`},
		{`"token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.abc_-def has expired"`, `token … has expired`},
		{`"at https://user:pass@s3.example/a/b?X-Amz-Credential=AKIA&X-Amz-Signature=00 there"`, `at https://…@s3.example/a/b?… there`},
		{`"password=hunter2, refresh_token: abc"`, `password=…, refresh_token: …`},
	} {
		var detail any
		if err := json.Unmarshal([]byte(tt.detail), &detail); err != nil {
			t.Fatal(err)
		}
		if got := quiet(detailText(detail)); got != tt.want {
			t.Errorf("%.100s:\ngot  %s\nwant %s", tt.detail, got, tt.want)
		}
	}
}

// FuzzDetail: whatever the detail, what is shown is short.
func FuzzDetail(f *testing.F) {
	for _, seed := range []string{`{}`, `"a"`, `[[[[[[1]]]]]]`, `{"token":"a","b":["c",1.5e300]}`, `"https://a:b@c?d"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var detail any
		if json.Unmarshal(data, &detail) != nil {
			return
		}
		if text := quiet(detailText(detail)); len(text) > maxMessage+len(left) {
			t.Errorf("%d bytes: %s", len(text), text)
		}
	})
}
