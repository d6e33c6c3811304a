// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// memory is a sink that checks what it is given and can fail on purpose.
type memory struct {
	mu       sync.Mutex
	blobs    map[digest.Digest][]byte
	manifest image.Manifest
	children []image.Manifest // stored by digest alone
	refuse   error
}

func (m *memory) PutBlob(_ context.Context, _ image.Reference, desc ocispec.Descriptor, data []byte, _ string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuse != nil {
		return m.refuse
	}
	if digest.FromBytes(data) != desc.Digest || int64(len(data)) != desc.Size {
		return image.ErrDigestMismatch
	}
	if m.blobs == nil {
		m.blobs = map[digest.Digest][]byte{}
	}
	m.blobs[desc.Digest] = data
	return nil
}

func (m *memory) PutManifest(_ context.Context, ref image.Reference, man image.Manifest) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if digest.FromBytes(man.Bytes) != man.Descriptor.Digest || int64(len(man.Bytes)) != man.Descriptor.Size {
		return image.ErrDigestMismatch
	}
	if ref.Tag() == "" && ref.Digest() == man.Descriptor.Digest.String() {
		m.children = append(m.children, man)
		return nil
	}
	if m.manifest.Bytes != nil {
		return errors.New("a second manifest is put")
	}
	m.manifest = man
	return nil
}

func reference(t testing.TB, s string) image.Reference {
	t.Helper()
	ref, err := image.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// object reads a file given by its path below the repository.
func object(t testing.TB, path string) build.Input {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(path)))
	if err != nil {
		t.Fatal(err)
	}
	return build.Input{Name: filepath.Base(path), Bytes: data}
}

// mustBuild builds into a fresh memory sink.
func mustBuild(t testing.TB, opts build.Options, inputs ...build.Input) (*memory, build.Result) {
	t.Helper()
	sink := &memory{}
	result, err := build.Build(t.Context(), sink, reference(t, "localhost:5000/net/thing:v1"), inputs, opts)
	if err != nil {
		t.Fatal(err)
	}
	return sink, result
}

// The examples used throughout.
const (
	counterObject = "examples/xdp-counter/counter.bpf.o"
	bytesObject   = "examples/tc-bytes/bytes.bpf.o"
	unlinkObject  = "examples/kprobe-unlink/unlink.bpf.o"
)
