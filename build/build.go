// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxObjects bounds the objects of one image. Readers of bpfimg refuse layers
// with many more entries as hostile.
const MaxObjects = 1000

// Errors a caller decides on; test with [errors.Is].
var (
	// ErrInput: the objects cannot become one image; another file or name is
	// needed.
	ErrInput = errors.New("cannot build an image")
	// ErrOptions: a build file, label, annotation, platform or time that cannot
	// be meant.
	ErrOptions = errors.New("wrong build options")
)

// Input is one compiled object.
type Input struct {
	// Name is the file name, used without its folder: 1 to 98 printable ASCII
	// characters. In the image it ends in ".o", which is appended when missing
	// ("prog.elf" is stored as "prog.elf.o"): the bytecode image specification's
	// readers look for that ending.
	Name string
	// Bytes is the file's content, at most inspect.MaxObject of them.
	Bytes []byte
}

// Options of [Build].
type Options struct {
	// File holds metadata and attach defaults; the zero value is fine.
	File schemas.BuildFile
	// Labels and Annotations are added last and win over the build file's. Keys
	// of ours ("io.ebpf.", "dev.bpfimg." and org.opencontainers.image.created)
	// are refused. Labels go into the image config, annotations into the
	// manifest. An artifact has no image config: labels, the build file's too,
	// are refused for it.
	Labels, Annotations map[string]string
	// Form is what is written; default: [FormImage].
	Form Form
	// Compression of the layer of [FormImage]; default: [CompressionGzip]. The
	// layers of [FormArtifact] are never compressed.
	Compression Compression
	// Platform "os/arch[/variant]"; default: linux and the architecture the
	// objects hint at, else amd64 (s390x for big-endian objects).
	Platform string
	// Compiler is what the compiler of the objects says it is, when it was run
	// for this build ([schemas.LabelCompiler]); "" writes nothing.
	Compiler string
	// BTFArchive is a folder with the BTF of kernels that have none of their own
	// (package btfarchive); what the objects need of it travels with the image.
	// Default: none.
	BTFArchive string
	// Created is SOURCE_DATE_EPOCH; the zero time writes the Unix epoch. Its
	// fraction of a second and its time zone are dropped.
	Created time.Time
}

// Result is a built image, stored in the sink.
type Result struct {
	Manifest    image.Manifest
	Description schemas.Description
	// BTF says which kernels the image brings the types of, layer by layer.
	BTF []BTF
}

// Build writes the image of the objects to sink under ref and returns its
// manifest. The objects are stored, and later loaded, in the order given. The
// error wraps [ErrInput] or [ErrOptions] when something else must be given, and
// what inspect.Object says of a file it cannot read; nothing was written then.
func Build(ctx context.Context, sink image.Sink, ref image.Reference, inputs []Input, opts Options) (Result, error) {
	parts, src, err := assemble(ctx, inputs, opts)
	if err != nil {
		return Result{}, err
	}
	for _, b := range parts.blobs() {
		if err := sink.PutBlob(ctx, ref, b.desc, b.data, ""); err != nil {
			return Result{}, fmt.Errorf("storing the image of %s: %w", ref.Name(), err)
		}
	}
	m := image.Manifest{Descriptor: parts.manifest.desc, Bytes: parts.manifest.data}
	if err := sink.PutManifest(ctx, ref, m); err != nil {
		return Result{}, fmt.Errorf("storing the image of %s: %w", ref.Name(), err)
	}
	return Result{Manifest: m, Description: src.desc, BTF: src.btf}, nil
}

// contents is an image before it is stored.
type contents struct {
	layers           []blob
	config, manifest blob
}

// blob is content and the descriptor that names it.
type blob struct {
	desc ocispec.Descriptor
	data []byte
}

// assemble makes the image in memory: every check happens here, before anything
// is written.
func assemble(ctx context.Context, inputs []Input, opts Options) (contents, source, error) {
	src := source{opts: opts}
	pack, err := chooseForm(opts)
	if err != nil {
		return contents{}, src, err
	}
	if src.created, err = createdTime(opts.Created); err != nil {
		return contents{}, src, err
	}
	if src.desc, src.files, err = describe(ctx, inputs, opts.File); err != nil {
		return contents{}, src, err
	}
	if src.platform, err = choosePlatform(opts.Platform, src.desc.Objects); err != nil {
		return contents{}, src, err
	}
	if src.btf, err = minimisedBTF(ctx, src); err != nil {
		return contents{}, src, err
	}
	parts, err := pack(src)
	if err != nil {
		return contents{}, src, err
	}
	return parts, src, parts.checkSizes()
}

// createdTime brings SOURCE_DATE_EPOCH into the form that is written. RFC 3339
// has four digits for the year, and a build before the epoch is a broken clock.
func createdTime(t time.Time) (time.Time, error) {
	if t.IsZero() {
		return time.Unix(0, 0).UTC(), nil
	}
	t = t.UTC().Truncate(time.Second)
	if t.Unix() < 0 || t.Year() > 9999 {
		return t, fmt.Errorf("%w: creation time %d s after the epoch is outside the years 1970 to 9999", ErrOptions, t.Unix())
	}
	return t, nil
}
