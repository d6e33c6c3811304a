// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"fmt"

	"github.com/bpfimg/bpfimg/image"
	"github.com/bpfimg/bpfimg/internal/boundedjson"
	"github.com/bpfimg/bpfimg/schemas"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// BTF is a layer with the types of kernels that have none of their own, cut down
// to what the objects of the image need.
type BTF struct {
	// Kernels are the releases (`uname -r`) it is for, Arch their architecture in
	// Go's spelling. No kernel is in two layers.
	Kernels []string
	Arch    string
	// Bytes are raw BTF, unread; Digest "sha256:<hex>" of them.
	Bytes  []byte
	Digest string
}

// isBTFLayer tells such a layer from one with objects.
func isBTFLayer(l ocispec.Descriptor) bool {
	_, marked := l.Annotations[schemas.AnnotationBTFKernels]
	return marked || l.MediaType == schemas.MediaTypeBTF
}

// btfRules are those of the archive in such a layer.
var btfRules = rules{maxLayers: 1, suffix: ".btf"}

// splitBTF takes the BTF layers off the end of an image or artifact of ours.
func splitBTF(c contents, format Format) ([]BTF, contents, error) {
	objects := 0
	for i, l := range c.manifest.Layers {
		if isBTFLayer(l) {
			continue
		}
		if i > objects {
			return nil, c, bad("%s with objects follows one with BTF", layerName(i))
		}
		objects++
	}
	if objects == len(c.layers) {
		return nil, c, nil
	}
	read := rawBTF
	if format == FormatBpfimg {
		if len(c.config.diffIDs) != len(c.layers) {
			return nil, c, bad("the config counts %d layers, the manifest %d", len(c.config.diffIDs), len(c.layers))
		}
		read = (&btfUnpacking{left: budget{bytes: maxUnpacked, entries: len(c.layers)}}).layer
	}
	found, err := readBTF(c, objects, read)
	if err != nil {
		return nil, c, err
	}
	c.layers, c.manifest.Layers = c.layers[:objects], c.manifest.Layers[:objects]
	if format == FormatBpfimg {
		c.config.diffIDs = c.config.diffIDs[:objects]
	}
	return found, c, nil
}

// readBTF reads the layers from first on.
func readBTF(c contents, first int, read func(contents, int) ([]byte, error)) ([]BTF, error) {
	kernels := map[string]bool{}
	var all []BTF
	for i := first; i < len(c.layers); i++ {
		one, err := btfMarks(c.manifest.Layers[i].Annotations, kernels)
		if err == nil {
			one.Bytes, err = read(c, i)
		}
		if err == nil && len(one.Bytes) > schemas.MaxBTF {
			err = bad("its BTF is %d bytes, at most %d are allowed: %w", len(one.Bytes), schemas.MaxBTF, image.ErrTooLarge)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", layerName(i), err)
		}
		one.Digest = digest.FromBytes(one.Bytes).String()
		all = append(all, one)
	}
	return all, nil
}

// btfMarks reads the annotations; kernels are those named so far.
func btfMarks(annotations map[string]string, kernels map[string]bool) (BTF, error) {
	one := BTF{Arch: annotations[schemas.AnnotationBTFArch]}
	if !validArch(one.Arch) {
		return one, bad("annotation %s is %q, and no architecture", schemas.AnnotationBTFArch, clip(one.Arch))
	}
	if err := boundedjson.Unmarshal([]byte(annotations[schemas.AnnotationBTFKernels]), &one.Kernels); err != nil {
		return one, bad("annotation %s is not a JSON array of releases: %w", schemas.AnnotationBTFKernels, err)
	}
	if len(one.Kernels) == 0 {
		return one, bad("annotation %s names no kernel", schemas.AnnotationBTFKernels)
	}
	for _, k := range one.Kernels {
		if !schemas.ValidKernelRelease(k) {
			return one, bad("annotation %s has %q, which is not the release of a kernel", schemas.AnnotationBTFKernels, clip(k))
		}
		if kernels[k] {
			return one, bad("kernel %s is named twice: which types are its is not certain", k)
		}
		kernels[k] = true
	}
	if len(kernels) > schemas.MaxBTFKernels {
		return one, bad("it names over %d kernels", schemas.MaxBTFKernels)
	}
	return one, nil
}

// validArch accepts a word such as "amd64".
func validArch(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// rawBTF is a layer of an artifact.
func rawBTF(c contents, i int) ([]byte, error) {
	if l := c.manifest.Layers[i]; l.MediaType != schemas.MediaTypeBTF {
		return nil, bad("%q is not the media type of BTF, as which it is annotated", clip(l.MediaType))
	}
	return c.layers[i], nil
}

// btfUnpacking bounds what the layers of an image unpack to, together.
type btfUnpacking struct{ left budget }

// layer takes out the one file.
func (u *btfUnpacking) layer(c contents, i int) ([]byte, error) {
	found := newFiles(btfRules)
	if err := unpackLayer(found, c.manifest.Layers[i].MediaType, c.layers[i], c.config.diffIDs[i], &u.left); err != nil {
		return nil, err
	}
	if len(found.taken) != 1 {
		return nil, bad("it holds %d files instead of one with BTF", len(found.taken))
	}
	return found.taken[0].Bytes, nil
}
