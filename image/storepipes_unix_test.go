// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

//go:build unix

package image

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bpfimg/bpfimg/internal/limited"
	"github.com/opencontainers/go-digest"
)

// TestStoreNamedPipes: files of the store that are named pipes are not waited for, and
// named. The commands are tried in cmd/bpfimg; these are files they seldom read.
func TestStoreNamedPipes(t *testing.T) {
	t.Parallel()
	s, err := OpenStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	im, ref := newImage(t, "a", nil), mustParse(t, "localhost/a:v1")
	im.put(t, s, ref)
	at := ref.WithDigest(im.manifest.Descriptor.Digest.String())
	pipe := func(path string) string {
		if err := errors.Join(os.RemoveAll(path), os.MkdirAll(filepath.Dir(path), 0o700), syscall.Mkfifo(path, 0o600)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, row := range map[string]struct {
		path string
		do   func() error
	}{
		"what was left where it is": {s.unaskedPath(digest.Digest(at.digest)), func() error {
			_, err := s.Unasked(t.Context(), at)
			return err
		}},
		"a blob that is made durable": {s.blobPath(im.descs[0].Digest), func() error { return s.syncBlob(im.descs[0].Digest) }},
		"a blob that is written into an archive": {s.blobPath(im.descs[1].Digest), func() error {
			return writeLayout(t.Context(), new(strings.Builder), s, map[digest.Digest]bool{im.descs[1].Digest: true})
		}},
	} {
		path := pipe(row.path)
		if err := row.do(); !errors.Is(err, limited.ErrNotRegular) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
