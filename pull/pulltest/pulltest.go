// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

// Package pulltest makes images as other tools make them, by what is published
// about their formats, for the tests of everything that reads images. Nothing
// that runs on a node imports it.
//
// Doors: [Fixtures], [Fixture.Make], [Image.Push].
package pulltest

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Fixture is one way in which one tool writes an image.
type Fixture struct {
	// Name is short and unique, such as "gadget"; Format what bpfimg calls it.
	Name, Format string
	// Object is the name that the object has when it is read.
	Object string
	// Notes are the words that the notes of the image must hold, in order.
	Notes []string
	write func(*Image, []byte) (ocispec.Descriptor, error)
}

// Image is an image in memory: all blobs, and all manifests in the order they
// must be pushed in, the root last.
type Image struct {
	Blobs     []Blob
	Manifests []image.Manifest
}

// Blob is content and the descriptor that names it.
type Blob struct {
	Descriptor ocispec.Descriptor
	Data       []byte
}

// Make returns the image with the object in it. It is the same every time.
func (f Fixture) Make(object []byte) (*Image, error) {
	im := &Image{}
	if _, err := f.write(im, object); err != nil {
		return nil, fmt.Errorf("making an image of %s: %w", f.Name, err)
	}
	return im, nil
}

// Push writes the image to sink and gives its root the name ref.
func (im *Image) Push(ctx context.Context, sink image.Sink, ref image.Reference) error {
	for _, b := range im.Blobs {
		if err := sink.PutBlob(ctx, ref, b.Descriptor, b.Data, ""); err != nil {
			return fmt.Errorf("pushing a blob to %s: %w", ref, err)
		}
	}
	for i, m := range im.Manifests {
		to := ref
		if i < len(im.Manifests)-1 {
			to = ref.WithDigest(m.Descriptor.Digest.String())
		}
		if err := sink.PutManifest(ctx, to, m); err != nil {
			return fmt.Errorf("pushing a manifest to %s: %w", to, err)
		}
	}
	return nil
}

// Find returns the fixture with the name.
func Find(name string) (Fixture, error) {
	for _, f := range Fixtures {
		if f.Name == name {
			return f, nil
		}
	}
	return Fixture{}, fmt.Errorf("there is no fixture %q", name)
}

func (im *Image) blob(mediaType string, data []byte) ocispec.Descriptor {
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	im.Blobs = append(im.Blobs, Blob{desc, data})
	return desc
}

// titled is blob with a file name, as oras gives it.
func (im *Image) titled(mediaType, title string, data []byte) ocispec.Descriptor {
	desc := im.blob(mediaType, data)
	desc.Annotations = map[string]string{ocispec.AnnotationTitle: title}
	return desc
}

// document adds a manifest or index that is sent as mediaType, whatever it
// calls itself.
func (im *Image) document(mediaType string, v any) (ocispec.Descriptor, error) {
	data, err := toJSON(v)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
	im.Manifests = append(im.Manifests, image.Manifest{Descriptor: desc, Bytes: data})
	return desc, nil
}

// unnamed adds an OCI manifest without the key mediaType, as oras writes it
// through Go's OCI types unless told otherwise.
func (im *Image) unnamed(m ocispec.Manifest) (ocispec.Descriptor, error) {
	m.SchemaVersion = 2
	return im.document(ocispec.MediaTypeImageManifest, m)
}

// index adds an index with one manifest a platform.
func (im *Image) index(platforms []ocispec.Platform, child func(ocispec.Platform) (ocispec.Descriptor, error)) (ocispec.Descriptor, error) {
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	for _, p := range platforms {
		desc, err := child(p)
		if err != nil {
			return desc, err
		}
		desc.Platform = &p
		index.Manifests = append(index.Manifests, desc)
	}
	return im.document(ocispec.MediaTypeImageIndex, index)
}

// bothPlatforms are those most people build for.
var bothPlatforms = []ocispec.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}

func toJSON(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing JSON: %w", err)
	}
	return data, nil
}
