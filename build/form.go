// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package build

import (
	"fmt"
	"time"

	"github.com/bpfimg/bpfimg/schemas"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Form is what kind of OCI manifest the objects go into (docs/spec.md).
type Form string

// The forms.
const (
	// FormImage is a container image as every registry, container tool and
	// bpfman takes it: an image config and one tar layer.
	FormImage Form = "image"
	// FormArtifact is an OCI artifact: the Description is the config, each
	// object a layer as it is.
	FormArtifact Form = "artifact"
)

// source is what a form is packed from.
type source struct {
	files    []file
	desc     schemas.Description
	platform ocispec.Platform
	created  time.Time // as written
	btf      []BTF
	opts     Options
}

// forms says how each form is packed.
var forms = map[Form]func(source) (contents, error){
	FormImage:    packImage,
	FormArtifact: packArtifact,
}

// chooseForm checks the options that say what is written.
func chooseForm(opts Options) (func(source) (contents, error), error) {
	form := opts.Form
	if form == "" {
		form = FormImage
	}
	pack, ok := forms[form]
	if !ok {
		return nil, fmt.Errorf("%w: format %q: want %s or %s", ErrOptions, opts.Form, FormImage, FormArtifact)
	}
	if _, ok := compressions[opts.Compression]; !ok && opts.Compression != "" {
		return nil, fmt.Errorf("%w: compression %q: want %s, %s or %s", ErrOptions, opts.Compression,
			CompressionGzip, CompressionZstd, CompressionNone)
	}
	if form == FormArtifact && opts.Compression != "" && opts.Compression != CompressionNone {
		return nil, fmt.Errorf("%w: the objects of an artifact are not compressed, so compression %s has no meaning; leave it out, or choose format %s",
			ErrOptions, opts.Compression, FormImage)
	}
	return pack, nil
}
