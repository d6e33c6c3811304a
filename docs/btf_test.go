// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package docs

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/pull"
)

// coreFile has relocations. Its own types stand for those of two kernels.
const coreFile = "../bpf/testdata/core.bpf.o"

// btf is the descriptor of a BTF layer, of an image that is read back.
func (k *kit) btf() string {
	k.t.Helper()
	object := read(k.t, coreFile)
	file, err := elf.NewFile(bytes.NewReader(object))
	if err != nil {
		k.t.Fatal(err)
	}
	types, err := file.Section(".BTF").Data()
	if err != nil {
		k.t.Fatal(err)
	}
	archive := k.t.TempDir()
	folder := filepath.Join(archive, "ubuntu/20.04/x86_64")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		k.t.Fatal(err)
	}
	for _, release := range []string{"5.4.0-26-generic", "5.4.0-28-generic"} {
		if err := os.WriteFile(filepath.Join(folder, release+".btf"), types, 0o600); err != nil {
			k.t.Fatal(err)
		}
	}
	ref := reference(k.t, "registry.example/net/core:v1")
	inputs := []build.Input{{Name: "core.bpf.o", Bytes: object}}
	if _, err := build.Build(k.t.Context(), k.store, ref, inputs, build.Options{BTFArchive: archive, Platform: "linux/amd64"}); err != nil {
		k.t.Fatal(err)
	}
	img, err := pull.Fetch(k.t.Context(), k.store, ref, pull.Options{Platform: "linux/amd64"})
	if err != nil || len(img.BTF) != 1 || len(img.BTF[0].Kernels) != 2 {
		k.t.Fatalf("read back: %v", err)
	}
	_, parsed := k.manifest(ref)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(parsed.Layers[1]); err != nil {
		k.t.Fatal(err)
	}
	return out.String()
}
