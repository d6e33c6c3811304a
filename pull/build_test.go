// SPDX-License-Identifier: Apache-2.0
// Copyright The bpfimg Authors

package pull

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/bpfimg/bpfimg/build"
	"github.com/bpfimg/bpfimg/testregistry"
	"github.com/google/go-cmp/cmp"
)

// What package build writes is read here, in every form and with every
// compression, up to as many objects as it takes.
func TestReadsWhatBuildWrites(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		objects int
		opts    build.Options
		want    Format
	}{
		{1, build.Options{}, FormatBpfimg},
		{build.MaxObjects, build.Options{}, FormatBpfimg},
		{1, build.Options{Compression: build.CompressionNone}, FormatBpfimg},
		{20, build.Options{Compression: build.CompressionZstd}, FormatBpfimg},
		{1, build.Options{Form: build.FormArtifact}, FormatArtifact},
		{build.MaxArtifactObjects, build.Options{Form: build.FormArtifact}, FormatArtifact},
	} {
		t.Run(fmt.Sprintf("%d as %s %s", row.objects, row.opts.Form, row.opts.Compression), func(t *testing.T) {
			k := newKit(t, testregistry.Options{})
			built, err := build.Build(t.Context(), k.src, k.ref, inputs(t, row.objects), row.opts)
			if err != nil {
				t.Fatal(err)
			}
			img := k.mustFetch(Options{})
			if img.Format != row.want || len(img.Objects) != row.objects || img.Root.Descriptor.Digest != built.Manifest.Descriptor.Digest {
				t.Errorf("got %s, %d objects, %s", img.Format, len(img.Objects), img.Root.Descriptor.Digest)
			}
			if diff := cmp.Diff(&built.Description, img.Described); diff != "" {
				t.Errorf("described (-built +read):\n%s", diff)
			}
			for i, o := range built.Description.Objects {
				if got := img.Objects[i]; got.File != o.File || got.Digest != o.Digest {
					t.Errorf("object %d is %q, %s; built was %q, %s", i+1, got.File, got.Digest, o.File, o.Digest)
				}
			}
		})
	}
}

// inputs are n objects that differ in names only.
func inputs(t *testing.T, n int) []build.Input {
	object := []byte(realObject(t))
	var list []build.Input
	for i := range n {
		// Program names must differ; the new one is as long as the old.
		renamed := bytes.ReplaceAll(object, []byte("xdp_count"), fmt.Appendf(nil, "xdp_c%04d", i))
		list = append(list, build.Input{Name: fmt.Sprintf("%04d.bpf.o", i), Bytes: renamed})
	}
	return list
}
