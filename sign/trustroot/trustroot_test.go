// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package trustroot_test

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bpfimg/bpfimg/sign/trustroot"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

const trusted = `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`

// repository is a TUF repository that is served from memory.
type repository struct {
	t     *testing.T
	key   ed25519.PrivateKey
	files map[string][]byte // by path
	root  []byte
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	r := &repository{t: t, key: key, files: map[string][]byte{}}
	root := metadata.Root(time.Now().AddDate(0, 0, 1))
	public, err := metadata.KeyFromPublicKey(key.Public())
	r.check(err)
	for _, role := range metadata.TOP_LEVEL_ROLE_NAMES {
		r.check(root.Signed.AddKey(public, role))
	}
	r.root = r.sign(root)
	return r
}

func (r *repository) check(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// signable is one of the four kinds of metadata.
type signable interface {
	Sign(signature.Signer) (*metadata.Signature, error)
	ToBytes(bool) ([]byte, error)
}

func (r *repository) sign(m signable) []byte {
	r.t.Helper()
	signer, err := signature.LoadSigner(r.key, crypto.Hash(0))
	r.check(err)
	_, err = m.Sign(signer)
	r.check(err)
	data, err := m.ToBytes(false)
	r.check(err)
	return data
}

// publish makes content the trusted root of a version, until expires.
func (r *repository) publish(version int64, content string, expires time.Time) {
	r.t.Helper()
	clear(r.files)
	targets := metadata.Targets(expires)
	targets.Signed.Version = version
	file, err := metadata.TargetFile().FromBytes(trustroot.Target, []byte(content), "sha256")
	r.check(err)
	targets.Signed.Targets[trustroot.Target] = file
	snapshot := metadata.Snapshot(expires)
	snapshot.Signed.Version = version
	snapshot.Signed.Meta["targets.json"] = metadata.MetaFile(version)
	timestamp := metadata.Timestamp(expires)
	timestamp.Signed.Version = version
	timestamp.Signed.Meta["snapshot.json"] = metadata.MetaFile(version)
	sum := sha256.Sum256([]byte(content))
	r.files["/timestamp.json"] = r.sign(timestamp)
	r.files[fmt.Sprintf("/%d.snapshot.json", version)] = r.sign(snapshot)
	r.files[fmt.Sprintf("/%d.targets.json", version)] = r.sign(targets)
	r.files["/targets/"+hex.EncodeToString(sum[:])+"."+trustroot.Target] = []byte(content)
}

// ServeHTTP implements [http.Handler].
func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	data, ok := r.files[req.URL.Path]
	if !ok {
		http.NotFound(w, req)
		return
	}
	_, _ = w.Write(data)
}

// target is the path of the trusted root.
func (r *repository) target() string {
	for path := range r.files {
		if strings.HasPrefix(path, "/targets/") {
			return path
		}
	}
	r.t.Fatal("there is no target")
	return ""
}

func TestFetch(t *testing.T) {
	t.Parallel()
	tomorrow := time.Now().AddDate(0, 0, 1)
	repo := newRepository(t)
	repo.publish(2, trusted, tomorrow)
	server := httptest.NewServer(repo)
	defer server.Close()
	opts := trustroot.Options{Mirror: server.URL, Root: repo.root, Cache: t.TempDir()}
	got, err := trustroot.Fetch(t.Context(), opts)
	if err != nil || string(got.File) != trusted {
		t.Fatalf("%q, %v", got.File, err)
	}
	// The next version.
	newer := strings.Replace(trusted, "{", "{ ", 1)
	repo.publish(3, newer, tomorrow)
	if got, err = trustroot.Fetch(t.Context(), opts); err != nil || string(got.File) != newer {
		t.Fatalf("%q, %v", got.File, err)
	}
	// And back: no.
	repo.publish(2, trusted, tomorrow)
	if got, err = trustroot.Fetch(t.Context(), opts); err == nil {
		t.Fatalf("went back to %q", got.File)
	}
}

func TestFetchRefusals(t *testing.T) {
	t.Parallel()
	tomorrow, yesterday := time.Now().AddDate(0, 0, 1), time.Now().AddDate(0, 0, -1)
	tests := []struct {
		name  string
		spoil func(*repository, *trustroot.Options)
		want  string
	}{
		{"other root", func(r *repository, o *trustroot.Options) { o.Root = newRepository(r.t).root }, "tuf"},
		{"root is junk", func(_ *repository, o *trustroot.Options) { o.Root = []byte("{}") }, ""},
		{"expired", func(r *repository, _ *trustroot.Options) { r.publish(2, trusted, yesterday) }, "expired"},
		{"file changed", func(r *repository, _ *trustroot.Options) { r.files[r.target()] = []byte(strings.ToUpper(trusted)) }, "hash"},
		{"file longer", func(r *repository, _ *trustroot.Options) {
			r.files[r.target()] = []byte(trusted + strings.Repeat(" ", 1000))
		}, "larger than expected"},
		{"no file", func(r *repository, _ *trustroot.Options) { delete(r.files, r.target()) }, "404"},
		{"endless timestamp", func(r *repository, _ *trustroot.Options) { r.files["/timestamp.json"] = make([]byte, 8<<20) }, "larger than expected"},
		{"not a trusted root", func(r *repository, _ *trustroot.Options) { r.publish(2, `{"mediaType":"x"}`, tomorrow) }, "reading trusted_root.json"},
		{"huge", func(r *repository, _ *trustroot.Options) {
			r.publish(2, trusted+strings.Repeat(" ", trustroot.MaxFile), tomorrow)
		}, "over 1048576 bytes"},
		{"mirror alone", func(_ *repository, o *trustroot.Options) { o.Root = nil }, "or neither"},
		{"root alone", func(_ *repository, o *trustroot.Options) { o.Mirror = "" }, "or neither"},
		{"no TLS", func(_ *repository, o *trustroot.Options) { o.Mirror = "http://mirror.example" }, "want https"},
		{"not http", func(_ *repository, o *trustroot.Options) { o.Mirror = "file:///tmp" }, "want https"},
		{"no cache", func(_ *repository, o *trustroot.Options) { o.Cache = "" }, "no folder"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			repo := newRepository(t)
			repo.publish(1, trusted, tomorrow)
			server := httptest.NewServer(repo)
			defer server.Close()
			opts := trustroot.Options{Mirror: server.URL, Root: repo.root, Cache: t.TempDir()}
			tt.spoil(repo, &opts)
			got, err := trustroot.Fetch(t.Context(), opts)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%q, error %v, want %q", got.File, err, tt.want)
			}
		})
	}
}

// TestSilentMirror: the caller's deadline ends the waiting.
func TestSilentMirror(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer server.Close()
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := trustroot.Fetch(ctx, trustroot.Options{Mirror: server.URL, Root: newRepository(t).root, Cache: t.TempDir()})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// TestCacheIsUsed: what was seen is on disk, where the next run finds it.
func TestCacheIsUsed(t *testing.T) {
	t.Parallel()
	repo := newRepository(t)
	repo.publish(1, trusted, time.Now().AddDate(0, 0, 1))
	server := httptest.NewServer(repo)
	defer server.Close()
	cache := t.TempDir() + "/a/b"
	if _, err := trustroot.Fetch(t.Context(), trustroot.Options{Mirror: server.URL, Root: repo.root, Cache: cache}); err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(cache); err != nil || len(entries) == 0 {
		t.Errorf("%v, %v", entries, err)
	}
}
