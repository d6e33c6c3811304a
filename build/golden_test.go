// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/bpfimg/bpfimg/build"
	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// TestGolden pins every byte of the examples' images: a change here changes the
// digests of everybody's images and must be meant. After recompiling an example
// run `go test ./build -run TestGolden -update`.
func TestGolden(t *testing.T) {
	t.Parallel()
	objects, err := filepath.Glob("../examples/*/*.bpf.o")
	if err != nil || len(objects) == 0 {
		t.Fatalf("found %d example objects: %v", len(objects), err)
	}
	for _, path := range objects {
		dir := filepath.Dir(path)
		name := filepath.Base(dir)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(filepath.Join(dir, "bpfimg.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			file, err := build.ReadFile("bpfimg.yaml", data)
			if err != nil {
				t.Fatal(err)
			}
			sink, result := mustBuild(t, build.Options{File: file}, object(t, filepath.Join("examples", name, filepath.Base(path))))
			compareGolden(t, filepath.Join("testdata", name+".golden"), describeImage(t, sink, result))
		})
	}
}

// describeImage prints an image so that people can read a difference; the
// digests in it cover what the indentation hides.
func describeImage(t *testing.T, sink *memory, result build.Result) []byte {
	t.Helper()
	var m ocispec.Manifest
	if err := json.Unmarshal(sink.manifest.Bytes, &m); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "image %s\nlayer %s\n\nmanifest ", result.Manifest.Descriptor.Digest, m.Layers[0].Digest)
	for _, part := range [][]byte{sink.manifest.Bytes, sink.blobs[m.Config.Digest]} {
		if err := json.Indent(&out, part, "", "  "); err != nil {
			t.Fatal(err)
		}
		out.WriteString("\n\nconfig ")
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n\nconfig "))
}

func compareGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}
