// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxPlatforms bounds the images of one index. Linux runs BPF on 13 of Go's
// architectures; [image.Copy] refuses indexes of more than 63 images.
const MaxPlatforms = 48

// IndexResult is a multi-arch image, stored in the sink.
type IndexResult struct {
	// Manifest is the index.
	Manifest image.Manifest
	// Images are its entries, in its order: sorted by platform.
	Images []PlatformImage
}

// PlatformImage is the image of one platform.
type PlatformImage struct {
	// Platform as "os/arch[/variant]".
	Platform string
	Result
}

// Index builds one image a variant and an index of them, and writes all of it to
// sink, the index under ref. Each image is what [Build] makes of the variant with
// the same options, byte for byte. The order of the variants does not matter.
// opts.Platform must be empty. The build file may have attach defaults for
// programs that not every platform has.
//
// Errors are those of [Build], and name the platform; nothing was written then.
func Index(ctx context.Context, sink image.Sink, ref image.Reference, variants []Variant, opts Options) (IndexResult, error) {
	images, err := assembleAll(ctx, variants, opts)
	if err != nil {
		return IndexResult{}, err
	}
	index, err := indexBlob(images, opts)
	if err != nil {
		return IndexResult{}, err
	}
	// A copy, because stores keep the images of an index apart from those with a
	// name of their own.
	src := built(index, images)
	if _, err := image.Copy(ctx, sink, ref, src, ref, image.CopyOptions{}); err != nil {
		return IndexResult{}, fmt.Errorf("storing the images of %s: %w", ref.Name(), err)
	}
	result := IndexResult{Manifest: index.manifest()}
	for _, im := range images {
		result.Images = append(result.Images, PlatformImage{
			Platform: platformText(im.platform),
			Result:   Result{Manifest: im.parts.manifest.manifest(), Description: im.desc, BTF: im.btf},
		})
	}
	return result, nil
}

// platformImage is one image before it is stored.
type platformImage struct {
	platform ocispec.Platform
	parts    contents
	desc     schemas.Description
	btf      []BTF
}

// assembleAll makes the images in memory, sorted by platform.
func assembleAll(ctx context.Context, variants []Variant, opts Options) ([]platformImage, error) {
	switch {
	case len(variants) == 0:
		return nil, fmt.Errorf("%w: no platform given; name at least one with its objects", ErrInput)
	case len(variants) > MaxPlatforms:
		return nil, fmt.Errorf("%w: %d platforms given, at most %d fit one index", ErrInput, len(variants), MaxPlatforms)
	case opts.Platform != "":
		return nil, fmt.Errorf("%w: platform %q is given beside those of the objects", ErrOptions, opts.Platform)
	}
	defaults, err := shareDefaults(ctx, variants, opts.File.Programs)
	if err != nil {
		return nil, err
	}
	images := make([]platformImage, 0, len(variants))
	seen := map[schemas.Platform]bool{}
	for i, v := range variants {
		opts.Platform, opts.File.Programs = v.Platform, defaults[i]
		im, err := assemblePlatform(ctx, v.Inputs, opts)
		if err != nil {
			return nil, inVariant(v, err)
		}
		p := schemas.NewPlatform(im.platform.OS, im.platform.Architecture, im.platform.Variant)
		if seen[p] {
			return nil, fmt.Errorf("%w: two images are for %s; readers could choose only one of them", ErrInput, p)
		}
		seen[p] = true
		images = append(images, im)
	}
	slices.SortFunc(images, func(a, b platformImage) int {
		return cmp.Compare(platformText(a.platform), platformText(b.platform))
	})
	return images, nil
}

func assemblePlatform(ctx context.Context, inputs []Input, opts Options) (platformImage, error) {
	parts, src, err := assemble(ctx, inputs, opts)
	return platformImage{src.platform, parts, src.desc, src.btf}, err
}

// inVariant says for which platform something went wrong.
func inVariant(v Variant, err error) error {
	if v.Platform == "" {
		return err
	}
	return fmt.Errorf("%s: %w", v.Platform, err)
}

// shareDefaults gives each variant the attach defaults of the programs it has.
// One for a program that none has is a mistake.
func shareDefaults(ctx context.Context, variants []Variant, all map[string]schemas.ProgramDefaults) ([]map[string]schemas.ProgramDefaults, error) {
	shares := make([]map[string]schemas.ProgramDefaults, len(variants))
	if len(all) == 0 {
		return shares, nil
	}
	known := map[string]bool{}
	for i, v := range variants {
		desc, _, err := describe(ctx, v.Inputs, schemas.BuildFile{})
		if err != nil {
			return nil, inVariant(v, err)
		}
		shares[i] = map[string]schemas.ProgramDefaults{}
		for name := range programTypes(desc.Objects) {
			known[name] = true
			if d, ok := all[name]; ok {
				shares[i][name] = d
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !known[name] {
			return nil, fmt.Errorf("%w: the build file names program %q; the objects have: %s", ErrOptions, name, list(slices.Sorted(maps.Keys(known))))
		}
	}
	return shares, nil
}

// indexBlob lists the images. Every entry names its platform: some registries
// refuse an index otherwise. There is nothing in it that OCI 1.0 did not have, no
// artifactType of artifacts either: skopeo 1.9, as Debian 12 has it, writes an index anew when
// it copies all of one, and leaves out what it does not know, which changes the
// digest that was signed.
func indexBlob(images []platformImage, opts Options) (blob, error) {
	annotations, err := indexAnnotations(images[0].desc, opts)
	if err != nil {
		return blob{}, err
	}
	entries := make([]ocispec.Descriptor, 0, len(images))
	for _, im := range images {
		desc := im.parts.manifest.desc
		desc.Platform, desc.ArtifactType = &im.platform, ""
		entries = append(entries, desc)
	}
	index, err := jsonBlob(ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned:   specs.Versioned{SchemaVersion: 2},
		MediaType:   ocispec.MediaTypeImageIndex,
		Manifests:   entries,
		Annotations: annotations,
	})
	if err == nil && len(index.data) > image.MaxManifest {
		err = fmt.Errorf("%w: the index is %d bytes, at most %d are allowed; shorten the annotations: %w", ErrInput,
			len(index.data), image.MaxManifest, image.ErrTooLarge)
	}
	return index, err
}

// indexAnnotations are those of the images that are about the whole: not what
// each of them holds. desc is that of the first.
func indexAnnotations(desc schemas.Description, opts Options) (map[string]string, error) {
	created, err := createdTime(opts.Created)
	if err != nil {
		return nil, err
	}
	ours, err := ownLabels(desc, created, opts.File)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(ours, func(key, _ string) bool { return !strings.HasPrefix(key, "org.opencontainers.image.") })
	return merge("annotation", ours, opts.File.Annotations, opts.Annotations)
}
