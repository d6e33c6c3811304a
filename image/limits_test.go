// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// noLength is a network whose answers do not say how long they are.
type noLength struct{ inner http.RoundTripper }

func (n noLength) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := n.inner.RoundTrip(req)
	if err == nil {
		resp.ContentLength = -1
	}
	return resp, err
}

// padded is a JSON document of n bytes.
func padded(document []byte, n int64) []byte {
	return append(bytes.Clone(document), bytes.Repeat([]byte(" "), int(n)-len(document))...)
}

// longTar is an archive with content behind its end, which is not read.
type longTar struct{ archive *bytes.Reader }

func (l longTar) ReadAt(p []byte, off int64) (int, error) {
	if off >= l.archive.Size() {
		clear(p)
		return len(p), nil
	}
	return l.archive.ReadAt(p, off)
}

// TestExactLimits: what is as large as it may be is taken, and a byte more is refused,
// wherever something is read under a limit.
func TestExactLimits(t *testing.T) {
	t.Parallel()
	im := newImage(t, "limit", nil)
	ref := mustParse(t, "localhost:1/a:v1")
	subject := ref.WithDigest(someDigest)
	serving := func(t *testing.T, mediaType string, body []byte, network func(http.RoundTripper) http.RoundTripper) *Registry {
		return testClient(t, RegistryOptions{Transport: network(testregistry.InProcess(answer(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", mediaType)
			_, _ = w.Write(body) // in memory
		})))})
	}
	withLength := func(t http.RoundTripper) http.RoundTripper { return t }
	withoutLength := func(t http.RoundTripper) http.RoundTripper { return noLength{t} }
	index, err := json.Marshal(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: junkReferrers(0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	// documents are what is asked of a registry, whether it says how long it is or not.
	documents := func(network func(http.RoundTripper) http.RoundTripper) map[string]func(*testing.T, int64) error {
		return map[string]func(*testing.T, int64) error{
			"manifest": func(t *testing.T, n int64) error {
				r := serving(t, im.manifest.Descriptor.MediaType, padded(im.manifest.Bytes, n), network)
				_, err := r.Manifest(t.Context(), ref)
				return err
			},
			"referrers": func(t *testing.T, n int64) error {
				list, err := serving(t, ocispec.MediaTypeImageIndex, padded(index, n), network).Referrers(t.Context(), subject)
				if err == nil && len(list) != 1 {
					t.Errorf("got %v", list)
				}
				return err
			},
			"tags": func(t *testing.T, n int64) error {
				r := serving(t, "application/json", padded([]byte(`{"tags":["v1"]}`), n), network)
				_, _, err := r.Tags(t.Context(), ref, 10, func(string) bool { return true })
				return err
			},
			"blob": func(t *testing.T, n int64) error {
				data := padded([]byte("{}"), n)
				_, err := serving(t, "application/octet-stream", data, network).Blob(t.Context(), ref, describe("", data), MaxManifest)
				return err
			},
		}
	}
	type row struct {
		name  string
		limit int64
		// read reads something of n bytes.
		read func(t *testing.T, n int64) error
	}
	rows := []row{
		{"a blob larger than a manifest", MaxManifest + 100, func(t *testing.T, n int64) error {
			data := padded([]byte("{}"), n)
			_, err := serving(t, "", data, withoutLength).Blob(t.Context(), ref, describe("", data), MaxManifest+100)
			return err
		}},
		{"a manifest of any source", MaxManifest, func(_ *testing.T, n int64) error {
			_, err := newManifest(padded(im.manifest.Bytes, n), "", "")
			return err
		}},
		{"an error of a registry", maxErrorBody, func(t *testing.T, n int64) error {
			body := padded([]byte(`{"errors":[{"code":"DENIED"}]`), n-1)
			r := testClient(t, RegistryOptions{Transport: testregistry.InProcess(answer(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write(append(body, '}'))
			}))})
			_, err := r.Manifest(t.Context(), ref)
			var answer *RegistryError
			if !errors.As(err, &answer) || answer.Status != http.StatusForbidden {
				t.Errorf("got %v, want its status", err)
			} else if answer.Code == "" {
				return ErrTooLarge // the end was cut off
			}
			return nil
		}},
		{"a file of a folder", 100, func(t *testing.T, n int64) error {
			root, err := os.OpenRoot(filepath.Dir(writeFile(t, make([]byte, n))))
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			_, err = dirFiles{root}.read("archive.tar", 100)
			return err
		}},
		{"a file of an archive", 100, func(t *testing.T, n int64) error {
			data := tarOf(t, tarEntry{name: "x", data: string(make([]byte, n))})
			files, err := newTarFiles(t.Context(), bytes.NewReader(data), int64(len(data)))
			if err != nil {
				t.Fatal(err)
			}
			_, err = files.read("x", 100)
			return err
		}},
		{"a file of the store", 100, func(t *testing.T, n int64) error {
			_, err := readFile(writeFile(t, make([]byte, n)), 100)
			return err
		}},
		{"an archive", maxArchive, func(t *testing.T, n int64) error {
			_, err := newTarFiles(t.Context(), longTar{bytes.NewReader(tarOf(t, tarEntry{name: "x", data: "x"}))}, n)
			return err
		}},
		{"the name of an entry", maxEntryName, func(_ *testing.T, n int64) error {
			if checkEntryName(strings.Repeat("a", int(n))) != nil {
				return ErrTooLarge // it has no name of its own
			}
			return nil
		}},
		{"the manifests of a layout", maxReferrerScan, scanManifests},
		{"the list that replaces the referrers API", MaxManifest, func(t *testing.T, n int64) error {
			return updateFallback(t, subject, n)
		}},
	}
	for how, network := range map[string]func(http.RoundTripper) http.RoundTripper{"": withLength, " without a length": withoutLength} {
		for what, read := range documents(network) {
			rows = append(rows, row{"a registry's " + what + how, MaxManifest, read})
		}
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if err := row.read(t, row.limit); err != nil {
				t.Errorf("%d bytes, which is the limit: got %v", row.limit, err)
			}
			if err := row.read(t, row.limit+1); !errors.Is(err, ErrTooLarge) {
				t.Errorf("%d bytes, one over the limit: got %v, want ErrTooLarge", row.limit+1, err)
			}
		})
	}
}

// scanManifests looks for referrers in a layout whose manifests are n bytes in all, as
// its index says. They need not be there to count: whoever wrote the index could have
// put them there.
func scanManifests(t *testing.T, n int64) error {
	index := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	for i := 0; n > 0; i++ {
		size := min(n, MaxManifest)
		index.Manifests = append(index.Manifests, ocispec.Descriptor{
			MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString(fmt.Sprint(i)), Size: size,
		})
		n -= size
	}
	a := openTestArchive(t, tarOf(t, tarEntry{name: "oci-layout", data: `{"imageLayoutVersion":"1.0.0"}`},
		tarEntry{name: "blobs", kind: tar.TypeDir}, tarEntry{name: "index.json", data: string(encode(t, "", index).Bytes)}))
	_, err := a.Referrers(t.Context(), mustParse(t, "localhost/a@"+someDigest))
	return err
}

// updateFallback writes a list at the fallback tag that becomes n bytes long.
func updateFallback(t *testing.T, subject Reference, n int64) error {
	var stored int
	r := testClient(t, RegistryOptions{Transport: testregistry.InProcess(answer(func(w http.ResponseWriter, req *http.Request) {
		data, _ := io.ReadAll(req.Body) // in memory
		stored = len(data)
		w.WriteHeader(http.StatusCreated)
	}))})
	route, err := r.hosts.Route(subject.registry, subject.repository)
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.session(t.Context(), sessionKey{place: route.Origin, write: true})
	if err != nil {
		t.Fatal(err)
	}
	entry := junkReferrers(0, 1)[0]
	withText := func(length int) ocispec.Index {
		return ocispec.Index{Annotations: map[string]string{"x": strings.Repeat("x", length)}}
	}
	if err := s.putFallbackIndex(t.Context(), subject, withText(0), entry); err != nil {
		t.Fatal(err)
	}
	return s.putFallbackIndex(t.Context(), subject, withText(int(n)-stored), entry)
}
