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

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestTree(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	ref := mustParse(t, "localhost/a:v1")
	index, children, attached := putIndex(t, s, ref)
	remove(t, s, children[0].manifest.Descriptor.Digest) // as after pulling one platform
	root, err := Tree(t.Context(), s, ref)
	if err != nil {
		t.Fatal(err)
	}
	if root.Kind != KindIndex || root.Descriptor.Digest != index.Descriptor.Digest || len(root.Children) != 2 || len(root.Referrers) != 2 {
		t.Fatalf("got %+v", root)
	}
	for i, want := range []string{"not here", ""} {
		child := root.Children[i]
		if child.Problem != want || child.Platform != "linux/amd64" || child.Kind != KindImage || child.Descriptor.Digest != children[i].manifest.Descriptor.Digest {
			t.Errorf("child %d: got %+v", i, child)
		}
	}
	whole := int64(len(children[1].config) + len(children[1].layer) + len(children[1].manifest.Bytes))
	if got := root.Children[1]; got.Size != whole || len(got.Referrers) != 1 || got.Referrers[0].Descriptor.Digest != attached[1].manifest.Descriptor.Digest {
		t.Errorf("got %+v, want %d bytes and one referrer", got, whole)
	}
	if sig := root.Referrers[0]; sig.Kind != KindReferrer || sig.Type != "application/vnd.test.signature" || len(sig.Referrers) != 1 {
		t.Errorf("got %+v", sig)
	}
	if legacy := root.Referrers[1]; legacy.Kind != KindSignature || !strings.HasSuffix(legacy.Tag, ".sig") {
		t.Errorf("got %+v", legacy)
	}
	if _, err := Tree(t.Context(), s, mustParse(t, "localhost/none:v1")); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestKindOfNode(t *testing.T) {
	t.Parallel()
	bundle := "application/vnd.dev.sigstore.bundle.v0.3+json"
	tests := []struct {
		artifactType, layer string
		annotations         map[string]string
		kind                NodeKind
		shown               string
	}{
		{bundle, bundle, map[string]string{annotationBundlePredicate: predicateSignature}, KindSignature, bundle},
		{bundle, bundle, map[string]string{annotationBundleContent: "message-signature"}, KindSignature, bundle},
		{bundle, bundle, map[string]string{annotationBundlePredicate: "https://slsa.dev/provenance/v1"}, KindAttestation, "https://slsa.dev/provenance/v1"},
		{bundle, bundle, nil, KindReferrer, bundle},
		{"", bundle, map[string]string{annotationBundlePredicate: predicateSignature}, KindSignature, bundle},
		{"application/spdx+json", "x", nil, KindSBOM, "application/spdx+json"},
		{"", "application/vnd.cyclonedx+json", nil, KindSBOM, "application/vnd.cyclonedx+json"},
		{"application/vnd.in-toto+json", "x", nil, KindAttestation, "application/vnd.in-toto+json"},
		{"application/vnd.cncf.notary.signature", "x", nil, KindSignature, "application/vnd.cncf.notary.signature"},
		{"application/x", "y", nil, KindReferrer, "application/x"},
		{"", "y", nil, KindReferrer, "application/config"},
	}
	for _, tt := range tests {
		head := manifestHead{
			ArtifactType: tt.artifactType, Annotations: tt.annotations, Subject: &ocispec.Descriptor{},
			Config: &ocispec.Descriptor{MediaType: "application/config"},
		}
		kind, shown := kindOfNode(head, []ocispec.Descriptor{{MediaType: tt.layer}})
		if kind != tt.kind || shown != tt.shown {
			t.Errorf("%q, %q, %v: got %s %q, want %s %q", tt.artifactType, tt.layer, tt.annotations, kind, shown, tt.kind, tt.shown)
		}
	}
	if kind, _ := kindOfNode(manifestHead{Config: &ocispec.Descriptor{}}, []ocispec.Descriptor{{MediaType: "application/spdx+json"}}); kind != KindImage {
		t.Errorf("what has no subject is attached to nothing, got %s", kind)
	}
}

func allTags(string) bool { return true }

// TestTags asks a registry that sends n tags, two a page.
func TestTags(t *testing.T) {
	t.Parallel()
	pages := func(n int) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			var from int
			_, _ = fmt.Sscanf(req.URL.Query().Get("last"), "v%d", &from)
			tags := []string{}
			for i := from + 1; i <= min(n, from+2); i++ {
				tags = append(tags, fmt.Sprintf("v%d", i))
			}
			if from+2 < n {
				w.Header().Set("Link", fmt.Sprintf(`</v2/a/tags/list?last=v%d>; rel="next"`, from+2))
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"name": "a", "tags": tags})
		}
	}
	again := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", `</v2/a/tags/list?again>; rel="next"`)
		_, _ = fmt.Fprint(w, `{"tags":["v1","not a tag","v2"]}`)
	}
	empty := func(w http.ResponseWriter, req *http.Request) {
		page := req.URL.Query().Get("page")
		w.Header().Set("Link", map[string]string{"": `</v2/a/tags/list?page=2>; rel="next"`, "2": `</v2/a/tags/list?page=3>; rel="next"`}[page])
		_, _ = fmt.Fprint(w, map[string]string{"": `{"tags":["v1"]}`, "2": `{"tags":null}`, "3": `{"tags":["v2"]}`}[page])
	}
	linked := func(link string) http.HandlerFunc {
		return func(w http.ResponseWriter, req *http.Request) {
			if req.URL.Query().Has("last") {
				_, _ = fmt.Fprint(w, `{"tags":["v2"]}`)
				return
			}
			w.Header().Set("Link", link)
			_, _ = fmt.Fprint(w, `{"tags":["v1"]}`)
		}
	}
	first := []string{"v1", "v2"}
	tests := []struct {
		name     string
		serve    http.HandlerFunc
		limit    int
		keep     func(string) bool
		want     []string
		more     bool
		requests int
	}{
		{"several pages", pages(5), 10, allTags, []string{"v1", "v2", "v3", "v4", "v5"}, false, 3},
		{"as many as wanted", pages(2), 2, allTags, first, false, 1},
		{"more than wanted", pages(5), 2, allTags, first, true, 2},
		{"some are not wanted", pages(5), 2, func(tag string) bool { return tag > "v2" }, []string{"v3", "v4"}, true, 3},
		{"none", pages(0), 2, allTags, nil, false, 1},
		{"links in one header", linked(`</v2/a/tags/list?first>; rel="prev", </v2/a/tags/list?last=v1>; rel="next"`), 10, allTags, first, false, 2},
		{"a link with more parameters", linked(`</v2/a/tags/list?last=v1>; title="more"; rel=next; type="x"`), 10, allTags, first, false, 2},
		{"a link to something else", linked(`</v2/a/tags/list?last=v1>; rel="nextcloud", </v2/a/tags/list?last=v1>; rel="prev"`), 10, allTags, first[:1], false, 1},
		{"a link to another host", linked(`<https://elsewhere.example/v2/a/tags/list?last=v1>; rel="next"`), 10, allTags, first, false, 2},
		{"a link without angle brackets", linked(`https://elsewhere.example/v2/a/tags/list?n=1&last=v1; rel=next`), 10, allTags, first, false, 2},
		{"an empty page", empty, 10, allTags, first, false, 3},
	}
	for _, tt := range tests {
		host, rec := serve(t, answer(tt.serve))
		tags, more, err := testClient(t, RegistryOptions{}).Tags(t.Context(), mustParse(t, host+"/a"), tt.limit, tt.keep)
		if err != nil || more != tt.more || !slices.Equal(tags, tt.want) {
			t.Errorf("%s: got %v, %v, %v, want %v, %v", tt.name, tags, more, err, tt.want, tt.more)
		}
		if got := len(rec.requests("/tags/list")); got != tt.requests {
			t.Errorf("%s: %d requests, want %d", tt.name, got, tt.requests)
		}
	}
	for text, handler := range map[string]http.HandlerFunc{
		"came before":        again,
		"cannot be followed": linked(`<ftp://elsewhere.example/v2/a/tags/list?last=v1>; rel="next"`),
	} {
		host, _ := serve(t, answer(handler))
		if _, _, err := testClient(t, RegistryOptions{}).Tags(t.Context(), mustParse(t, host+"/a"), 10, allTags); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q", err, text)
		}
	}
	_, _, err := testClient(t, RegistryOptions{}).Tags(t.Context(), mustParse(t, "127.0.0.1:1/a"), 10, allTags)
	if err == nil || strings.Contains(err.Error(), "latest") {
		t.Errorf("got %v, want an error about the repository, not about a tag nobody named", err)
	}
}

func TestStoreTags(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	im := newImage(t, "image", nil)
	for _, name := range []string{"a:v3", "a:v1", "a:v2", "b:v9", "a@" + im.manifest.Descriptor.Digest.String()} {
		im.put(t, s, mustParse(t, "localhost/"+name))
	}
	tags, more, err := s.Tags(t.Context(), mustParse(t, "localhost/a"), 2, allTags)
	if err != nil || !more || !slices.Equal(tags, []string{"v1", "v2"}) {
		t.Errorf("got %v, %v, %v", tags, more, err)
	}
	if _, _, err := s.Tags(t.Context(), mustParse(t, "localhost/c"), 2, allTags); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestParseRepository(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"localhost:5000/a/b": "localhost:5000/a/b", "busybox": "docker.io/library/busybox"} {
		if ref, err := ParseRepository(in); err != nil || ref.Name() != want {
			t.Errorf("%s: got %s, %v", in, ref, err)
		}
	}
	for _, bad := range []string{"a:v1", "a@" + someDigest, "", "localhost:5000"} {
		if ref, err := ParseRepository(bad); !errors.Is(err, ErrReference) {
			t.Errorf("%s: got %s, %v, want ErrReference", bad, ref, err)
		}
	}
}
