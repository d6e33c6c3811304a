// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/bpfimg/bpfimg/build/btfarchive"
	"github.com/bpfimg/bpfimg/build/btfgen"
	"github.com/bpfimg/bpfimg/internal/joined"
	"github.com/bpfimg/bpfimg/schemas"
	"golang.org/x/sync/errgroup"
)

// MaxLayers bounds the layers of an image or artifact, those of BTF included:
// image.Copy takes no more.
const MaxLayers = 64

// BTF is one layer of minimised BTF: what the objects need of the types of
// kernels that are alike in it.
type BTF struct {
	// Kernels are their releases (`uname -r`), sorted; Arch is their architecture
	// in Go's spelling.
	Kernels []string `json:"kernels"`
	Arch    string   `json:"arch"`
	// Size of the BTF in bytes.
	Size int `json:"size"`

	data []byte
}

// maxParallelBTF bounds the kernels that are worked on together: each takes up to
// 64 MiB for its file, and as much for what is read of it.
const maxParallelBTF = 4

// minimisedBTF makes the BTF layers, sorted by their first kernel. There are none
// without an archive, or for objects that ask for no type of the kernel.
func minimisedBTF(ctx context.Context, src source) (_ []BTF, err error) {
	if src.opts.BTFArchive == "" {
		return nil, nil
	}
	var objects []btfgen.Object
	for _, f := range src.files {
		objects = append(objects, btfgen.Object{Name: f.name, Bytes: f.data})
	}
	generator, err := btfgen.New(objects)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInput, err)
	}
	archive, err := btfarchive.Open(src.opts.BTFArchive)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	defer func() { err = joined.Errors(err, archive.Close()) }()
	kernels, err := archive.Kernels(ctx, src.platform.Architecture)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if !generator.Needed() {
		return nil, nil
	}
	minimal, err := minimiseAll(ctx, generator, archive, kernels)
	if err != nil {
		return nil, err
	}
	return groupBTF(src, kernels, minimal)
}

// minimiseAll returns the minimised BTF of each kernel.
func minimiseAll(ctx context.Context, g *btfgen.Generator, archive *btfarchive.Archive, kernels []btfarchive.Kernel) ([][]byte, error) {
	out := make([][]byte, len(kernels))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallelBTF)
	for i, k := range kernels {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("minimising BTF: %w", err)
			}
			whole, err := archive.Read(k)
			if err != nil {
				return fmt.Errorf("%w: BTF archive: %w", ErrInput, err)
			}
			if out[i], err = g.Generate(whole); err != nil {
				return fmt.Errorf("%w: BTF archive: %q: %w", ErrInput, k.Path, err)
			}
			return nil
		})
	}
	return out, group.Wait()
}

// groupBTF puts kernels that need the same bytes together. Two files for one
// release must: a node cannot tell which of them it is.
func groupBTF(src source, kernels []btfarchive.Kernel, minimal [][]byte) ([]BTF, error) {
	groups := map[[sha256.Size]byte]*BTF{}
	for i, k := range kernels {
		sum := sha256.Sum256(minimal[i])
		again := i > 0 && kernels[i-1].Release == k.Release // sorted
		if again && string(minimal[i-1]) != string(minimal[i]) {
			return nil, fmt.Errorf("%w: BTF archive: %q and %q are both for kernel %s and differ in what the objects need; remove one",
				ErrInput, kernels[i-1].Path, k.Path, k.Release)
		}
		group := groups[sum]
		if group == nil {
			group = &BTF{Arch: src.platform.Architecture, Size: len(minimal[i]), data: minimal[i]}
			groups[sum] = group
		}
		if !again {
			group.Kernels = append(group.Kernels, k.Release)
		}
	}
	var out []BTF
	for _, g := range groups {
		if g.Size > schemas.MaxBTF {
			return nil, fmt.Errorf("%w: the objects need %d bytes of the types of kernel %s, at most %d are allowed", ErrInput, g.Size, g.Kernels[0], schemas.MaxBTF)
		}
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b BTF) int { return cmp.Compare(a.Kernels[0], b.Kernels[0]) })
	return out, checkBTFLayers(src, out)
}

// checkBTFLayers refuses more layers than readers take.
func checkBTFLayers(src source, btf []BTF) error {
	objects := 1
	if src.opts.Form == FormArtifact {
		objects = len(src.files)
	}
	if objects+len(btf) <= MaxLayers {
		return nil
	}
	return fmt.Errorf("%w: the kernels of the BTF archive differ in %d ways in what the objects need, and each is a layer; at most %d fit beside the objects: "+
		"name a folder with fewer, such as that of one distribution", ErrInput, len(btf), MaxLayers-objects)
}

// annotations mark the layer's descriptor.
func (b BTF) annotations() (map[string]string, error) {
	kernels, err := json.Marshal(b.Kernels)
	if err != nil {
		return nil, fmt.Errorf("writing annotation %s: %w", schemas.AnnotationBTFKernels, err)
	}
	return map[string]string{schemas.AnnotationBTFKernels: string(kernels), schemas.AnnotationBTFArch: b.Arch}, nil
}

// btfLayers are the layers of an image, and the archives in them. The file in
// each is named for its content, so that unpacked they lie beside each other.
func btfLayers(src source) (layers []blob, archives [][]byte, err error) {
	for _, b := range src.btf {
		sum := sha256.Sum256(b.data)
		archive, err := tarLayer([]file{{name: hex.EncodeToString(sum[:]) + ".btf", data: b.data}})
		if err != nil {
			return nil, nil, err
		}
		layer, err := packLayer(archive, src.opts.Compression)
		if err != nil {
			return nil, nil, err
		}
		if layer.desc.Annotations, err = b.annotations(); err != nil {
			return nil, nil, err
		}
		layers, archives = append(layers, layer), append(archives, archive)
	}
	return layers, archives, nil
}
