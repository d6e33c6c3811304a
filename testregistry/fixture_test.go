// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package testregistry_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func newRegistry(t *testing.T, opts testregistry.Options) *testregistry.Registry {
	t.Helper()
	r, err := testregistry.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// client makes requests of a handler without a network.
type client struct {
	t    *testing.T
	http *http.Client
}

func newClient(t *testing.T, h http.Handler) client {
	return client{t, &http.Client{Transport: testregistry.InProcess(h)}}
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

func (c client) do(method, path, body string, header ...string) answer {
	c.t.Helper()
	return c.doContext(c.t.Context(), method, path, body, header...)
}

func (c client) doContext(ctx context.Context, method, path, body string, header ...string) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, "http://registry.test"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(data), err}
}

// want fails the test unless the answer has the status.
func (a answer) want(t *testing.T, status int) answer {
	t.Helper()
	if a.err != nil || a.status != status {
		t.Fatalf("got %d %s (%v), want %d", a.status, a.body, a.err, status)
	}
	return a
}

func (c client) putBlob(name, content string) ocispec.Descriptor {
	c.t.Helper()
	d := digest.FromString(content)
	c.do("POST", "/v2/"+name+"/blobs/uploads/?digest="+d.String(), content).want(c.t, http.StatusCreated)
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(content))}
}

// putImage pushes a small image; with a subject it is a referrer.
func (c client) putImage(name, tag, content string, subject *ocispec.Descriptor) ocispec.Descriptor {
	c.t.Helper()
	config := c.putBlob(name, "{}")
	config.MediaType = ocispec.MediaTypeImageConfig
	m := ocispec.Manifest{
		Versioned:    specs.Versioned{SchemaVersion: 2},
		MediaType:    ocispec.MediaTypeImageManifest,
		ArtifactType: "application/vnd.test",
		Config:       config,
		Layers:       []ocispec.Descriptor{c.putBlob(name, content)},
		Subject:      subject,
	}
	data, err := json.Marshal(m)
	if err != nil {
		c.t.Fatal(err)
	}
	d := digest.FromBytes(data)
	target := tag
	if tag == "" {
		target = d.String()
	}
	c.do("PUT", "/v2/"+name+"/manifests/"+target, string(data), "Content-Type", m.MediaType).want(c.t, http.StatusCreated)
	return ocispec.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(data))}
}

func (c client) referrers(path string) (list []ocispec.Descriptor, a answer) {
	c.t.Helper()
	a = c.do("GET", path, "").want(c.t, http.StatusOK)
	var index ocispec.Index
	if err := json.Unmarshal([]byte(a.body), &index); err != nil {
		c.t.Fatal(err)
	}
	return index.Manifests, a
}

func isCut(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }
